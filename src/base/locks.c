/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  The locks by which pgmaint's own processes know of each other.
 *
 * They are advisory locks of a kind that no SQL function can take, so that
 * nobody can hold up maintenance by guessing a key.  (pg_advisory_unlock_all()
 * would release them, so whoever keeps one for longer than a transaction guards
 * it while code of others runs.)  In pg_locks they show up with locktype
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

/* what this process holds beyond its transactions, by EngineLock */
static LOCKMODE held[LOCK_OWNERS + 1];

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
	if (LockAcquire(&tag, exclusive ? ExclusiveLock : ShareLock, true,
					!wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	held[which] = exclusive ? ExclusiveLock : ShareLock;
	return true;
}

void
release_engine_lock(EngineLock which, bool exclusive)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	LockRelease(&tag, exclusive ? ExclusiveLock : ShareLock, true);
	held[which] = NoLock;
}

/*
 * Before code of others runs in a process that holds locks: hold them for the
 * transaction as well, which no SQL function can end.
 */
void
guard_engine_locks(void)
{
	for (int which = 0; which < (int) lengthof(held); which++)
	{
		if (held[which] != NoLock)
			lock_in_transaction((EngineLock) which,
								held[which] == ExclusiveLock);
	}
}

/*
 * After it, in the same transaction: what the code has let go of is held again,
 * and what it has taken itself is given back.
 */
void
restore_engine_locks(void)
{
	bool any = false;

	for (int which = 0; which < (int) lengthof(held); which++)
		any = any || held[which] != NoLock;
	if (!any)
		return;
	LockReleaseSession(USER_LOCKMETHOD);
	for (int which = 0; which < (int) lengthof(held); which++)
	{
		if (held[which] != NoLock)
			(void) hold_engine_lock((EngineLock) which,
									held[which] == ExclusiveLock, true);
	}
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
