/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  The locks by which pgmaint's own processes know of each other.
 *
 * They are advisory locks of a kind that no SQL function can take, so that
 * nobody can hold up maintenance by guessing a key.  In pg_locks they show up
 * with locktype "advisory" and objsubid 7.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "base/locks.h"

/* SQL's advisory locks use 1 and 2 here */
#define ENGINE_LOCK_CLASS 7

static void
set_engine_tag(LOCKTAG *tag, EngineLock which)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) which, 0,
						 ENGINE_LOCK_CLASS);
}

/*
 * Take a lock that outlives transactions.  Returns false when it was not to
 * be had at once and the caller did not want to wait.
 */
bool
hold_engine_lock(EngineLock which, bool exclusive, bool wait)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	return LockAcquire(&tag, exclusive ? ExclusiveLock : ShareLock, true,
					   !wait) != LOCKACQUIRE_NOT_AVAIL;
}

void
release_engine_lock(EngineLock which, bool exclusive)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	LockRelease(&tag, exclusive ? ExclusiveLock : ShareLock, true);
}

/*
 * Take a lock that goes with the transaction, after its commit is visible.
 */
void
lock_in_transaction(EngineLock which)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Does another process hold the lock?
 */
bool
engine_lock_is_held(EngineLock which)
{
	LOCKTAG tag;
	int holders;

	set_engine_tag(&tag, which);
	(void) GetLockConflicts(&tag, ExclusiveLock, &holders);
	return holders > 0;
}
