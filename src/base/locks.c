/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  The locks by which pgmaint's own processes know of each other.
 *
 * They are advisory locks of a kind that no SQL function can take, so that
 * nobody can hold up maintenance by guessing a key.  (pg_advisory_unlock_all()
 * would release them, so only processes that run nobody else's code keep one
 * for longer than a transaction.)  In pg_locks they show up with locktype
 * "advisory" and objsubid 7.
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
lock_in_transaction(EngineLock which, bool exclusive)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	(void) LockAcquire(&tag, exclusive ? ExclusiveLock : ShareLock, false,
					   false);
}

/*
 * Is there a leader?  Asked by trying a lock that it holds; that is not the
 * lock which decides who becomes leader, so that asking stands in nobody's way.
 */
bool
leader_is_alive(void)
{
	if (!hold_engine_lock(LOCK_LEADER_ALIVE, false, false))
		return true;
	release_engine_lock(LOCK_LEADER_ALIVE, false);
	return false;
}
