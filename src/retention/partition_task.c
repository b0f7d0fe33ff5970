/*-------------------------------------------------------------------------
 *
 * partition_task.c
 *	  The task that removes a whole partition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "action/blockers.h"
#include "base/giveway.h"
#include "exec/toplevel.h"
#include "objects/keys.h"
#include "retention/keys.h"
#include "retention/partition_task.h"
#include "retention/slices.h"

void
prepare_departure(const TaskContext *context, const RetentionWork *work,
				  const RetentionPolicy *policy, Departure *departure)
{
	memset(departure, 0, sizeof(*departure));
	departure->policy = policy;
	departure->relation = context->task->relation;
	departure->parent = work->parent;
	departure->cutoff = work->cutoff;
	departure->empty = work->empty;
	departure->lock_timeout = context->lock_timeout;
	departure->lock_retries = context->lock_retries;
}

/*
 * The key to which this attempt archives the rows of a partition.
 */
char *
key_of_partition(const TaskContext *context, const RetentionWork *work,
				 const RetentionPolicy *policy, const Partition *partition)
{
	char *range =
		range_name(time_column_type(policy->relation, policy->time_column),
				   work->from, work->to);

	return key_of_attempt(
		object_key(policy, partition->relation, range, context->run_id),
		context->task->attempt);
}

/*
 * Finish the detachment of a partition that an earlier version began.  The
 * command waits for transactions that may still see the partition in its
 * table, and must not block other sessions meanwhile.  The command evaluates
 * no expression, so it runs as the role of the run: constraints and foreign
 * keys were checked when the detachment began.
 */
void
finalize_detachment(TaskContext *context)
{
	Oid relation = context->task->relation;
	MemoryContext previous = CurrentMemoryContext;
	char *command = NULL;
	RetentionWork work;

	read_work(context->task, &work);
	if (strcmp(work.kind, "detached") != 0)
		return;
	context->awaited = AccessExclusiveLock;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(previous);
	if (get_rel_relispartition(relation))
		command =
			psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE",
					 qualified_name(get_partition_parent(relation, true)),
					 qualified_name(relation));
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);
	if (command != NULL)
		execute_at_top_level(command);
}

/*
 * End the attempt because a lock was not obtained.  Its holders are named
 * while they still have it.
 */
static void
give_up_lock(TaskContext *context, const char *what, List *relations,
			 LOCKMODE mode)
{
	LedgerScope scope;
	char *holders;

	ledger_enter(&scope);
	holders = name_lock_holders_of(relations, mode);
	ledger_leave(&scope);
	context->gave_up = psprintf(
		"%s: %s", what,
		holders == NULL ? "the lock has since been released" : holders);
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg_internal("%s", context->gave_up)));
}

/*
 * End the task: all attempts to detach the partition failed.
 */
static void
give_up_departure(TaskContext *context, const Departure *departure)
{
	List *relations = partition_oids(departure->partitions);

	if (OidIsValid(departure->parent))
	{
		Oid rest = get_default_partition_oid(departure->parent);

		relations = lappend_oid(relations, departure->parent);
		if (OidIsValid(rest))
			relations = lappend_oid(relations, rest);
	}
	context->tried_enough = true;
	give_up_lock(
		context,
		psprintf("%s could not be detached and dropped in %d attempt%s",
				 context->task->target, departure->lock_retries + 1,
				 departure->lock_retries == 0 ? "" : "s"),
		relations, AccessExclusiveLock);
}

static void
archive_partitions(TaskContext *context, const RetentionWork *work,
				   const Departure *departure, RetentionArchives *archives)
{
	ListCell *cell;

	foreach (cell, departure->partitions)
	{
		const Partition *partition = lfirst(cell);
		LedgerScope scope;
		char *key;

		if (partition->relkind != RELKIND_RELATION)
			continue;
		ledger_enter(&scope);
		key = key_of_partition(context, work, departure->policy, partition);
		ledger_leave(&scope);
		archive_rows(context, work, departure->policy, partition->relation,
					 key, NULL, archives);
	}
}

/*
 * The result of the task, as a JSON object.
 */
static char *
describe_departure(const RetentionArchives *archives)
{
	return psprintf("{\"deleted_rows\": %lld, \"archive_ids\": [%s], "
					"\"archived_bytes\": %lld, "
					"\"content_bytes\": %lld, \"dropped\": true}",
					(long long) archives->total.rows, archives->numbers.data,
					(long long) archives->total.bytes,
					(long long) archives->total.content_bytes);
}

/*
 * Remove a whole partition: no session writes to it from the first lock to the
 * commit, unless a session has waited for the lock for so long that the
 * attempt ends.
 */
void
execute_departure(TaskContext *context, const RetentionWork *work,
				  const RetentionPolicy *policy)
{
	Departure departure;
	LedgerScope scope;
	RetentionArchives archives = {0};
	Oid role = GetUserId();
	volatile bool dropped = false;

	initStringInfo(&archives.numbers);
	prepare_departure(context, work, policy, &departure);
	if (!lock_departing_partitions(&departure))
		give_up_lock(
			context, psprintf("no lock within %d ms", context->lock_timeout),
			departure.partitions == NIL ? list_make1_oid(departure.relation)
										: partition_oids(departure.partitions),
			ShareRowExclusiveLock);
	ledger_enter(&scope);
	context->not_done = find_objection(&departure, role);
	ledger_leave(&scope);
	if (context->not_done == NULL && work->empty && has_rows(&departure))
		context->not_done = "rows were added after the task had been planned";
	if (context->not_done != NULL)
		return;

	PG_TRY();
	{
		begin_giving_way(partition_oids(departure.partitions),
						 ShareRowExclusiveLock, departure.above,
						 context->lock_timeout);
		if (policy->archive && !work->empty)
			archive_partitions(context, work, &departure, &archives);
		dropped = drop_departing_partitions(&departure);
	}
	PG_FINALLY();
	{
		context->gave_up = end_giving_way();
	}
	PG_END_TRY();
	if (!dropped)
		give_up_departure(context, &departure);
	context->result = policy->archive ? describe_departure(&archives)
									  : "{\"dropped\": true}";
}
