/*-------------------------------------------------------------------------
 *
 * retention_task.c
 *	  Execution of a task of the action "retention".
 *
 * There are four kinds of tasks: a slice of a table by time, a partition that
 * is removed as a whole, a partition that an earlier version detached, and an
 * object that an earlier task left in a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

#include "action/leftovers.h"
#include "base/error_text.h"
#include "objects/keys.h"
#include "retention/owner.h"
#include "retention/partition_task.h"
#include "retention/retention_task.h"
#include "retention/slices.h"

/*
 * Register the objects that the task will write, in the caller's ledger scope.
 */
static void
note_uploads(TaskContext *context, const RetentionWork *work,
			 const RetentionPolicy *policy, const Departure *departure)
{
	const ClaimedTask *task = context->task;
	ListCell *cell;

	if (!policy->archive || work->empty)
		return;
	if (!is_whole(work))
	{
		note_upload_of_attempt(context, "retention", policy->storage,
							   key_of_attempt(work->key, task->attempt));
		return;
	}
	foreach (cell, departure->partitions)
	{
		const Partition *partition = lfirst(cell);

		if (partition->relkind == RELKIND_RELATION)
			note_upload_of_attempt(
				context, "retention", policy->storage,
				key_of_partition(context, work, policy, partition));
	}
}

/*
 * The reason why rows of a table or of a partition cannot be deleted, as text;
 * NULL if they can.
 */
static char *
find_objection_to_slice(const RetentionPolicy *policy, Oid relation, Oid role)
{
	Refusal refusal = {0};

	if (get_rel_relkind(relation) == '\0')
		return "the table was dropped after the task had been planned";
	if (relation != policy->relation &&
		!(get_rel_relispartition(relation) &&
		  list_member_oid(get_partition_ancestors(relation),
						  policy->relation)))
		return "the partition was detached after the task had been planned";
	refuse_policy(policy, relation, role, &refusal);
	if (refusal.message == NULL)
		return NULL;
	return text_with_hint(refusal.message, refusal.hint);
}

/*
 * Skip the task if its policy or table changed after planning.  Otherwise
 * register the objects that the task will write, which is committed before it
 * begins.
 */
HoldBack
consider_retention(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	Oid role = GetUserId();
	LedgerScope scope;
	RetentionPolicy policy;
	Refusal refusal = {0};
	Departure departure = {0};
	List *earlier;
	ListCell *cell;
	RetentionWork work;

	read_work(task, &work);
	if (is_leftover(task))
		return HOLD_BACK_NOTHING;

	ledger_enter(&scope);
	if (!read_policy(work.policy_id, &policy))
		refusal.message =
			psprintf("retention policy %lld was dropped after the task had "
					 "been planned",
					 (long long) work.policy_id);
	else if (is_whole(&work))
	{
		prepare_departure(context, &work, &policy, &departure);
		list_departing_partitions(&departure);
		refusal.message = find_objection(&departure, role);
	}
	else
		refusal.message =
			find_objection_to_slice(&policy, task->relation, role);
	earlier = uploads_of_task(task->task_id);
	ledger_leave(&scope);

	if (refusal.message != NULL)
	{
		*reason = refusal.message;
		return HOLD_BACK_SKIP;
	}
	foreach (cell, earlier)
		(void) remove_leftover(*(int64 *) lfirst(cell));

	ledger_enter(&scope);
	note_uploads(context, &work, &policy, &departure);
	ledger_leave(&scope);
	return HOLD_BACK_NOTHING;
}

/*
 * Delete the rows of a table in a range of time, archiving them first.  The
 * table and its columns are read after the lock, when they can no longer
 * change.
 */
static void
execute_slice(TaskContext *context, const RetentionWork *work,
			  const RetentionPolicy *policy)
{
	const ClaimedTask *task = context->task;
	Oid role = GetUserId();
	LedgerScope scope;
	char *condition;
	char *name;
	RetentionArchives archives = {0};

	/* rows that another session has locked are waited for, too */
	context->awaited = ExclusiveLock;
	LockRelationOid(task->relation, RowExclusiveLock);
	ledger_enter(&scope);
	context->not_done = find_objection_to_slice(policy, task->relation, role);
	ledger_leave(&scope);
	if (context->not_done != NULL)
		return;
	condition = slice_condition(policy, task->relation,
								work->open ? NULL : work->from, work->to);
	if (policy->archive)
	{
		initStringInfo(&archives.numbers);
		archive_rows(context, work, policy, task->relation,
					 key_of_attempt(work->key, task->attempt), condition,
					 &archives);
		context->result = psprintf(
			"{\"deleted_rows\": %lld, \"archive_id\": %s, "
			"\"archived_bytes\": %lld, "
			"\"content_bytes\": %lld}",
			(long long) archives.total.rows,
			archives.numbers.len == 0 ? "null" : archives.numbers.data,
			(long long) archives.total.bytes,
			(long long) archives.total.content_bytes);
		return;
	}
	name = hold_name(task->relation);
	context->result = psprintf(
		"{\"deleted_rows\": %lld}",
		(long long) execute_as_owner(
			table_owner(task->relation),
			psprintf("DELETE FROM ONLY %s WHERE %s", name, condition)));
	require_name(task->relation, name);
}

void
execute_retention(TaskContext *context)
{
	LedgerScope scope;
	RetentionPolicy policy;
	RetentionWork work;
	bool found;

	read_work(context->task, &work);
	if (is_leftover(context->task))
	{
		carry_out_leftover(context);
		return;
	}
	ledger_enter(&scope);
	found = read_policy(work.policy_id, &policy);
	ledger_leave(&scope);
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("retention policy %lld was dropped after the "
							   "task began",
							   (long long) work.policy_id)));
	if (is_whole(&work))
		execute_departure(context, &work, &policy);
	else
		execute_slice(context, &work, &policy);
}

void
clean_up_retention(TaskContext *context, const char *sqlstate)
{
	if (!is_leftover(context->task))
		remove_uploads_of_task(context);
}
