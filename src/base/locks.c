/*-------------------------------------------------------------------------
 *
 * locks.c
 *	  Locks by which the processes of pgmaint exclude each other.
 *
 * They are advisory locks of a kind that no SQL function can take, so users
 * cannot hold up maintenance by guessing a key.  (pg_advisory_unlock_all() would
 * release them, so a process that keeps one for longer than a transaction guards
 * it while code of users runs.)  pg_locks shows them with locktype "advisory"
 * and objsubid 7.
 *
 * All databases share the slots of max_worker_processes, which leaders divide
 * among themselves in units: locks of no database, with objsubid 8.
 *
 * Locks that exclude each other across databases have objsubid 9.  Database 0
 * stands for the lock itself; a backup also holds the same lock of the database
 * that it dumps, for pg_locks to show which one that is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "replication/logicallauncher.h"
#include "storage/lock.h"

#include "base/locks.h"

/* SQL's advisory locks use 1 and 2 here */
#define ENGINE_LOCK_CLASS 7
#define UNIT_LOCK_CLASS 8
#define CLUSTER_LOCK_CLASS 9

/* the only lock of that class: backups against REPACK (CONCURRENTLY) */
#define BACKUP_LOCK 1

/*
 * units are numbered from 1; a process must hold this one to count or take
 * units
 */
#define UNIT_GATE 0

/* locks that this process holds beyond its transactions, by EngineLock */
static LOCKMODE held[LOCK_STORAGE_NAMES + 1];

/* the units that this process holds */
static int held_units[MAX_HELD_UNITS];
static int held_unit_count = 0;

static void
set_engine_tag(LOCKTAG *tag, EngineLock which)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) which, 0,
						 ENGINE_LOCK_CLASS);
}

static void
set_unit_tag(LOCKTAG *tag, int unit)
{
	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, (uint32) unit, 0, UNIT_LOCK_CLASS);
}

static void
lock_unit(int unit, bool session)
{
	LOCKTAG tag;

	set_unit_tag(&tag, unit);
	(void) LockAcquire(&tag, ExclusiveLock, session, false);
}

static void
unlock_unit(int unit, bool session)
{
	LOCKTAG tag;

	set_unit_tag(&tag, unit);
	(void) LockRelease(&tag, ExclusiveLock, session);
}

/*
 * Take a lock that outlives transactions.  Returns false if the lock was not
 * available at once and the caller did not want to wait.
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
 * Before code of users runs in a process that holds locks: hold the locks for
 * the transaction as well, which no SQL function can end.
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
	for (int i = 0; i < held_unit_count; i++)
		lock_unit(held_units[i], false);
}

/*
 * After code of users has run, in the same transaction: take again the locks
 * that the code released, and release those that it took.
 */
void
restore_engine_locks(void)
{
	bool any = held_unit_count > 0;

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
	for (int i = 0; i < held_unit_count; i++)
		lock_unit(held_units[i], true);
}

/*
 * Release all locks that this process holds beyond its transactions, before it
 * looks for other processes that may need them.
 */
void
release_all_engine_locks(void)
{
	LockReleaseSession(USER_LOCKMETHOD);
	memset(held, 0, sizeof(held));
	held_unit_count = 0;
}

/*
 * Take a lock that the transaction releases after its commit is visible.
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
 * The same, exclusively; false if the lock is not available at once.
 */
bool
try_lock_in_transaction(EngineLock which)
{
	LOCKTAG tag;

	set_engine_tag(&tag, which);
	return LockAcquire(&tag, ExclusiveLock, false, true) !=
		   LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Is there a leader?  Try a lock that it holds, but not the lock that decides
 * who becomes leader, which would hold up a candidate.  The leader itself must
 * not call this.
 */
bool
leader_is_alive_in(Oid database)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, database, (uint32) LOCK_LEADER_ALIVE, 0,
						 ENGINE_LOCK_CLASS);
	if (LockAcquire(&tag, ShareLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	(void) LockRelease(&tag, ShareLock, true);
	return false;
}

bool
leader_is_alive(void)
{
	return leader_is_alive_in(MyDatabaseId);
}

static void
set_backup_tag(LOCKTAG *tag, Oid database)
{
	SET_LOCKTAG_ADVISORY(*tag, database, BACKUP_LOCK, 0, CLUSTER_LOCK_CLASS);
}

/*
 * Call this before REPACK (CONCURRENTLY) begins.  Returns false if a backup is
 * running, or waits to begin.  The mode conflicts with backups, but not with
 * another REPACK.
 *
 * Code in an index expression could release a lock of the session.  A backup
 * may then begin too early; it notices the rewrite itself.
 */
bool
try_repack_lock(void)
{
	LOCKTAG tag;

	set_backup_tag(&tag, InvalidOid);
	return LockAcquire(&tag, RowExclusiveLock, true, true) !=
		   LOCKACQUIRE_NOT_AVAIL;
}

void
release_repack_lock(void)
{
	LOCKTAG tag;

	set_backup_tag(&tag, InvalidOid);
	(void) LockRelease(&tag, RowExclusiveLock, true);
}

/*
 * Call this before the backup of a database begins.  The transaction releases
 * both locks, however it ends; a REPACK never waits for them.
 */
bool
lock_out_repack(Oid database, bool wait)
{
	LOCKTAG tag;

	set_backup_tag(&tag, database);
	(void) LockAcquire(&tag, ShareLock, false, false);
	set_backup_tag(&tag, InvalidOid);
	return LockAcquire(&tag, ShareLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static bool
holds_unit(int unit)
{
	for (int i = 0; i < held_unit_count; i++)
	{
		if (held_units[i] == unit)
			return true;
	}
	return false;
}

/*
 * The launcher of logical replication occupies one slot.
 */
int
slots_for_units(void)
{
	return max_worker_processes -
		   (max_logical_replication_workers > 0 ? 1 : 0);
}

/*
 * Lock up to this many free units for a moment, and keep them if there are
 * enough.  Returns how many there were.
 *
 * The gate makes this one step: of two leaders that need two units each while
 * three are free, one gets two.  Units that are not kept are locks of the
 * transaction, which an ERROR releases.
 */
static int
look_for_units(int wanted, bool keep)
{
	int capacity = Max(LEADER_UNITS, slots_for_units());
	int *found = palloc(sizeof(int) * capacity);
	int count = 0;

	lock_unit(UNIT_GATE, false);
	for (int unit = 1; unit <= capacity && count < wanted; unit++)
	{
		LOCKTAG tag;

		set_unit_tag(&tag, unit);
		if (!holds_unit(unit) && LockAcquire(&tag, ExclusiveLock, false,
											 true) != LOCKACQUIRE_NOT_AVAIL)
			found[count++] = unit;
	}
	for (int i = 0; i < count; i++)
	{
		if (keep && count == wanted)
		{
			lock_unit(found[i], true);
			held_units[held_unit_count++] = found[i];
		}
		unlock_unit(found[i], false);
	}
	unlock_unit(UNIT_GATE, false);
	pfree(found);
	return count;
}

/*
 * Take that many units, or none.
 */
bool
take_units(int count)
{
	if (held_unit_count + count > MAX_HELD_UNITS)
		return false;
	return look_for_units(count, true) == count;
}

/*
 * Release all units but that many.  Returns whether any were released.
 */
bool
keep_units(int count)
{
	bool more = held_unit_count > count;

	while (held_unit_count > count)
		unlock_unit(held_units[--held_unit_count], true);
	return more;
}

/*
 * The number of free units, up to a limit.
 */
int
count_free_units(int limit)
{
	return look_for_units(limit, false);
}
