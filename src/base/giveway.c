/*-------------------------------------------------------------------------
 *
 * giveway.c
 *	  Locks that are held through long work, and released if another session
 *	  has waited too long for one of them.
 *
 * The work itself calls give_way_if_due() wherever it checks for interrupts:
 * while it copies rows, and while it waits for an answer of a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/giveway.h"

/* how often the lock table is looked at, in milliseconds */
#define LOOK_INTERVAL 100
#define SHORTEST_LOOK_INTERVAL 5

static struct
{
	List *relations; /* OIDs; NIL: no lock is looked after */
	LOCKMODE mode;
	List *read;	 /* more of them, which are locked with AccessShareLock */
	int timeout; /* milliseconds that a session may wait */
	int interval;
	TimestampTz next_look;
	MemoryContext context; /* of the reason */
	char *reason;
} held;

/*
 * The locks must have been taken in the current transaction, and not in an
 * open subtransaction.
 */
void
begin_giving_way(List *relations, LOCKMODE mode, List *read, int timeout)
{
	held.relations = relations;
	held.read = read;
	held.mode = mode;
	held.timeout = timeout;
	held.interval =
		Max(SHORTEST_LOOK_INTERVAL, Min(LOOK_INTERVAL, timeout / 4));
	held.next_look = GetCurrentTimestamp();
	held.context = CurrentMemoryContext;
	held.reason = NULL;
}

/*
 * Returns why the locks were released; NULL if they were not.  Must be called
 * after an ERROR, too.
 */
char *
end_giving_way(void)
{
	held.relations = NIL;
	held.read = NIL;
	return held.reason;
}

static void
set_tag(LOCKTAG *tag, Oid relation)
{
	SET_LOCKTAG_RELATION(*tag, MyDatabaseId, relation);
}

/*
 * The lock by which other sessions wait for the end of this transaction: they
 * wait for a row that it has locked, such as that of a schema that they
 * rename.
 */
static bool
set_transaction_tag(LOCKTAG *tag)
{
	TransactionId transaction = GetTopTransactionIdIfAny();

	SET_LOCKTAG_TRANSACTION(*tag, transaction);
	return TransactionIdIsValid(transaction);
}

/*
 * Does a session wait for one of the locks?
 */
bool
is_waited_for(void)
{
	LOCKTAG transaction;
	ListCell *cell;

	if (set_transaction_tag(&transaction) &&
		LockHasWaiters(&transaction, ExclusiveLock, false))
		return true;
	foreach (cell, held.relations)
	{
		LOCKTAG tag;

		set_tag(&tag, lfirst_oid(cell));
		if (LockHasWaiters(&tag, held.mode, false))
			return true;
	}
	return false;
}

/*
 * Might a session wait for a table that is only read?  Only
 * AccessExclusiveLock has to wait for such a lock.  Our own lock may be a
 * fast-path lock, which the lock table does not have, so ask whether the
 * transaction has any.
 */
static bool
reading_may_be_waited_for(void)
{
	ListCell *cell;

	foreach (cell, held.read)
	{
		LOCKTAG tag;

		set_tag(&tag, lfirst_oid(cell));
		if (LockWaiterCount(&tag) > 0)
			return true;
	}
	return false;
}

/*
 * Does this session wait for one of the locks?
 */
static bool
waits_for_us(const LockInstanceData *instance)
{
	Oid relation = (Oid) instance->locktag.locktag_field2;
	LOCKTAG tag;

	if (instance->waitLockMode == NoLock)
		return false;
	if (set_transaction_tag(&tag) &&
		memcmp(&tag, &instance->locktag, sizeof(LOCKTAG)) == 0)
		return true;
	set_tag(&tag, relation);
	if (memcmp(&tag, &instance->locktag, sizeof(LOCKTAG)) != 0)
		return false;
	return list_member_oid(held.relations, relation) ||
		   (instance->waitLockMode == AccessExclusiveLock &&
			instance->pid != MyProcPid &&
			list_member_oid(held.read, relation));
}

/*
 * Find the session that has waited longest; false if no session waits.
 */
static bool
find_waiter(LockInstanceData *waiter)
{
	LockData *data = GetLockStatusData();
	TimestampTz since = DT_NOEND;
	bool found = false;

	for (int i = 0; i < data->nelements; i++)
	{
		LockInstanceData *instance = &data->locks[i];

		if (!waits_for_us(instance))
			continue;
		/* 0: the wait has just begun */
		if (instance->waitStart == 0)
			instance->waitStart = GetCurrentTimestamp();
		if (instance->waitStart < since)
		{
			since = instance->waitStart;
			*waiter = *instance;
			found = true;
		}
	}
	return found;
}

/*
 * Release the locks before the ERROR: aborting an upload on the way to the end
 * of the transaction may take a while.  The transaction cannot commit after
 * this.
 */
static void
give_way(const LockInstanceData *waiter)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext previous = MemoryContextSwitchTo(held.context);
	char *name = get_rel_name((Oid) waiter->locktag.locktag_field2);
	ListCell *cell;

	if (waiter->locktag.locktag_type == LOCKTAG_TRANSACTION)
		held.reason = psprintf("transaction was rolled back because process "
							   "%d waited for its end",
							   waiter->pid);
	else
		held.reason = psprintf("lock on \"%s\" was released because process "
							   "%d waited for it",
							   name == NULL ? "" : name, waiter->pid);
	MemoryContextSwitchTo(previous);
	CurrentResourceOwner = TopTransactionResourceOwner;
	foreach (cell, held.relations)
		UnlockRelationOid(lfirst_oid(cell), held.mode);
	foreach (cell, held.read)
		UnlockRelationOid(lfirst_oid(cell), AccessShareLock);
	CurrentResourceOwner = owner;
	held.relations = NIL;
	held.read = NIL;
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg_internal("%s", held.reason)));
}

/*
 * Release the locks if a session has waited longer than the timeout.  Does
 * nothing while interrupts are held off.
 */
void
give_way_if_due(void)
{
	TimestampTz now;
	LockInstanceData waiter;

	if (held.relations == NIL || InterruptHoldoffCount > 0 ||
		CritSectionCount > 0)
		return;
	now = GetCurrentTimestamp();
	if (now < held.next_look)
		return;
	held.next_look = TimestampTzPlusMilliseconds(now, held.interval);
	if ((is_waited_for() || reading_may_be_waited_for()) &&
		find_waiter(&waiter) &&
		TimestampTzPlusMilliseconds(waiter.waitStart, held.timeout) <=
			held.next_look)
		give_way(&waiter);
}

/*
 * When give_way_if_due() must be called again.
 */
TimestampTz
next_look_for_waiters(void)
{
	if (held.relations == NIL || InterruptHoldoffCount > 0)
		return DT_NOEND;
	return held.next_look;
}

/*
 * Release the locks if a session waits, for however short a time.
 */
void
give_way_at_once(void)
{
	LockInstanceData waiter;

	if (is_waited_for() && find_waiter(&waiter))
		give_way(&waiter);
}
