/*-------------------------------------------------------------------------
 *
 * departure.c
 *	  Removal of a whole partition in one transaction.
 *
 * The partition is locked against writers, copied, detached and dropped; its
 * rows stay visible in the table until the commit after which they are in a
 * committed archive.  Readers are blocked only while the partition is detached
 * and dropped.
 *
 * A session that has rows of other partitions locked may wait for a lock of
 * this transaction while this transaction waits for its lock.  So after its
 * first lock, the transaction waits less than deadlock_timeout for others, and
 * not at all where another session waits for it: no other session ever fails
 * because of a deadlock with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/error_text.h"
#include "base/giveway.h"
#include "base/subtransaction.h"
#include "exec/trusted.h"
#include "retention/departure.h"
#include "retention/owner.h"

/* how often a session that waits is looked for between two attempts */
#define LOOK_INTERVAL 50

/*
 * List the partitions as they are now.  A partition that is already detached
 * is listed alone.
 */
void
list_departing_partitions(Departure *departure)
{
	Partition *partition;

	if (OidIsValid(departure->parent))
	{
		departure->partitions =
			list_partition_tree(departure->policy, departure->relation);
		return;
	}
	departure->partitions = NIL;
	if (get_rel_relkind(departure->relation) == '\0' ||
		(get_rel_relispartition(departure->relation) &&
		 !PartitionHasPendingDetach(departure->relation)))
		return;
	partition = palloc0(sizeof(Partition));
	partition->relation = departure->relation;
	partition->name = qualified_name(departure->relation);
	partition->relkind = get_rel_relkind(departure->relation);
	departure->partitions = list_make1(partition);
}

/*
 * Has the partition changed since the plan, or does it hold rows younger than
 * the cut-off?  Returns the reason as text; NULL if neither.
 */
static char *
find_change(const Departure *departure)
{
	const RetentionPolicy *policy = departure->policy;
	const Partition *partition;

	if (departure->partitions == NIL)
		return "the partition was detached, attached or dropped after the "
			   "task had been planned";
	if (!OidIsValid(departure->parent))
		return NULL;
	partition = linitial(departure->partitions);
	if (partition->parent != departure->parent ||
		!list_member_oid(get_partition_ancestors(departure->relation),
						 policy->relation))
		return "the partition was moved after the task had been planned";
	if (!partition->timed || policy->filter != NULL ||
		partition->upper >
			time_as_number(
				time_column_type(policy->relation, policy->time_column),
				departure->cutoff))
		return "the partition no longer holds only rows older than the "
			   "cut-off";
	return NULL;
}

/*
 * The reason why the partition cannot be removed as a whole, as text; NULL if
 * it can.
 */
char *
find_objection(const Departure *departure, Oid role)
{
	List *relations = partition_oids(departure->partitions);
	List *trees = list_make1(departure->partitions);
	char *reason = find_change(departure);
	Refusal *refusals;

	if (reason != NULL)
		return reason;
	if (OidIsValid(departure->parent))
		relations = lcons_oid(departure->parent, relations);
	refusals = refuse_tables_of_policy(departure->policy, relations, role);
	for (int i = 0; i < list_length(relations); i++)
	{
		if (refusals[i].message != NULL)
			return text_with_hint(refusals[i].message, refusals[i].hint);
	}
	if (!departure->empty && OidIsValid(departure->parent))
		reason = find_reasons_for_rows(departure->policy, trees)[0];
	if (reason != NULL)
		return psprintf("rows of the partition must be deleted individually: "
						"%s",
						reason);
	return find_dependents(trees)[0];
}

/*
 * Shorten lock_timeout for the rest of the transaction.
 */
static void
shorten_lock_timeout(int milliseconds)
{
	(void) set_config_option(
		"lock_timeout",
		psprintf("%d", Max(1, Min(milliseconds, DeadlockTimeout / 2))),
		PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Lock the partition, all tables above it and all partitions below it.  Tables
 * above it cannot be detached then; partitions below it are locked in the
 * order in which writers lock them.
 */
static void
lock_partitions(void *argument)
{
	Departure *departure = argument;
	List *relations;
	LedgerScope scope;
	ListCell *cell;

	LockRelationOid(departure->relation, ShareRowExclusiveLock);
	shorten_lock_timeout(departure->lock_timeout);
	departure->above = get_rel_relispartition(departure->relation)
						   ? get_partition_ancestors(departure->relation)
						   : NIL;
	for (int i = list_length(departure->above) - 1; i >= 0; i--)
		LockRelationOid(list_nth_oid(departure->above, i), AccessShareLock);

	ledger_enter(&scope);
	list_departing_partitions(departure);
	ledger_leave(&scope);
	relations = partition_oids(departure->partitions);
	foreach (cell, relations)
	{
		if (lfirst_oid(cell) != departure->relation)
			LockRelationOid(lfirst_oid(cell), ShareRowExclusiveLock);
	}
	ledger_enter(&scope);
	list_departing_partitions(departure);
	ledger_leave(&scope);
	if (!equal(relations, partition_oids(departure->partitions)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("partitions of %s were added or dropped by another "
						"session",
						qualified_name(departure->relation))));
}

/*
 * Is this error a lock that was not obtained in time?  Other errors are raised
 * again.
 */
static bool
is_lock_failure(ErrorData *error)
{
	if (error == NULL)
		return false;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
		error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		ReThrowError(error);
	return true;
}

/*
 * Block writers until the transaction ends; readers are not blocked.  Returns
 * false if the locks were not obtained; their holders still have them.
 */
bool
lock_departing_partitions(Departure *departure)
{
	return !is_lock_failure(try_in_subtransaction(lock_partitions, departure));
}

/*
 * Is there a row in one of the partitions?
 */
bool
has_rows(const Departure *departure)
{
	ListCell *cell;

	foreach (cell, departure->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->relkind == RELKIND_RELATION &&
			execute_as_owner(table_owner(partition->relation),
							 psprintf("SELECT FROM ONLY %s LIMIT 1",
									  hold_name(partition->relation))) > 0)
			return true;
	}
	return false;
}

/*
 * Detach the partition as its owner, in a security-restricted operation.  For
 * a foreign key onto the table, the server plans a query on the referencing
 * table, whose index expressions belong to another role.
 */
static void
detach(void *argument)
{
	const Departure *departure = argument;

	(void) execute_as_owner(table_owner(departure->parent),
							psprintf("ALTER TABLE %s DETACH PARTITION %s",
									 hold_name(departure->parent),
									 hold_name(departure->relation)));
}

/*
 * Event triggers, which only superusers create, fire here.  DROP TABLE
 * evaluates no expression.
 */
static void
detach_and_drop(void *argument)
{
	Departure *departure = argument;
	char *name = hold_name(departure->relation);

	if (OidIsValid(departure->parent))
	{
		if (is_waited_for() && !ConditionalLockRelationOid(
								   departure->parent, AccessExclusiveLock))
			ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
							errmsg("could not obtain lock on the parent "
								   "table of partition %s",
								   name)));
		with_trusted_functions(detach, departure);
	}
	(void) execute_as_owner(table_owner(departure->relation),
							psprintf("DROP TABLE %s", name));
	if (get_rel_relkind(departure->relation) != '\0')
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("%s now names another table because its "
							   "schema was renamed",
							   name)));
}

/*
 * Wait for the next attempt; if another session waits for a lock of this
 * transaction, give up, since the lock cannot be released earlier.
 */
static void
wait_between_attempts(int milliseconds)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);

	for (;;)
	{
		long left =
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		CHECK_FOR_INTERRUPTS();
		give_way_at_once();
		give_way_if_due();
		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, LOOK_INTERVAL), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Detach the partition, and drop it with all partitions below it.  Each
 * attempt waits only a short time for its locks, since other sessions queue
 * behind it.  Returns false if no attempt obtained them; their holders still
 * have them.
 *
 * A session that waits for the partition has a lock on the table, which it
 * opened first: neither session could continue.
 */
bool
drop_departing_partitions(Departure *departure)
{
	LedgerScope scope;
	LedgerQuery query = {0};

	for (int attempt = 0;
		 is_lock_failure(try_in_subtransaction(detach_and_drop, departure));
		 attempt++)
	{
		if (attempt >= departure->lock_retries)
			return false;
		wait_between_attempts(departure->lock_timeout);
	}
	bind_oid(&query, departure->relation);
	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint_internal.detached_partitions WHERE relation = $1");
	ledger_leave(&scope);
	return true;
}
