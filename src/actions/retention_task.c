/*-------------------------------------------------------------------------
 *
 * retention_task.c
 *	  How a task of the action "retention" is carried out.
 *
 * There are three kinds: a slice of a table by time, a partition that leaves as
 * a whole, and what an earlier task has left on a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "actions/evidence.h"
#include "actions/leftovers.h"
#include "actions/retention_task.h"
#include "objects/keys.h"
#include "retention/archive.h"
#include "retention/owner.h"
#include "retention/partition.h"
#include "retention/slices.h"

/* what the plan wrote down */
typedef struct Work
{
	char *kind;
	char *from;
	char *to;
	char *key;
	bool open;
	int64 policy_id;
} Work;

static void
read_work(const ClaimedTask *task, Work *work)
{
	work->kind = evidence_text(task, "kind");
	work->from = evidence_text(task, "from");
	work->to = evidence_text(task, "to");
	work->key = evidence_text(task, "key");
	work->open = evidence_flag(task, "open");
	work->policy_id = evidence_number(task, "policy_id", 0);
	if (work->kind == NULL)
		elog(ERROR, "task %lld has no plan", (long long) task->task_id);
}

static bool
is_kind(const Work *work, const char *kind)
{
	return strcmp(work->kind, kind) == 0;
}

static Oid
parent_of_detached(Oid relation)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	if (ledger_query(
			&query,
			"SELECT coalesce((SELECT i.inhparent FROM pg_catalog.pg_inherits i "
			"WHERE i.inhrelid = $1), (SELECT d.parent FROM pgmaint.detached_partitions d "
			"WHERE d.relation = $1), 0::pg_catalog.oid)") == 0)
		return InvalidOid;
	return ledger_oid(0, 1);
}

/*
 * Is the policy still what it was?  Then write down what the task is about to
 * do, which is committed before it begins.
 */
HoldBack
consider_retention(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	LedgerScope scope;
	RetentionPolicy policy;
	Refusal refusal = {0};
	List *earlier;
	ListCell *cell;
	Work work;

	read_work(task, &work);
	if (is_leftover(task))
		return HOLD_BACK_NOTHING;

	ledger_enter(&scope);
	if (!read_policy(work.policy_id, &policy))
		refusal.message =
			psprintf("retention policy %lld was dropped after the task had "
					 "been planned",
					 (long long) work.policy_id);
	else
		refuse_policy(&policy, task->relation, GetUserId(), &refusal);
	if (refusal.message == NULL && is_kind(&work, "partition"))
	{
		refusal.message = dependent_of_partition(task->relation);
		if (refusal.message != NULL)
			refusal.message = psprintf("%s depends on it", refusal.message);
	}
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
	if (is_kind(&work, "partition"))
		note_detached_partition(&policy, task->relation,
								parent_of_detached(task->relation), work.from,
								work.to);
	if (policy.archive)
		note_upload(task->task_id, "retention", policy.storage,
					key_of_attempt(work.key, task->attempt));
	ledger_leave(&scope);
	return HOLD_BACK_NOTHING;
}

/*
 * Partitions are detached at top level.
 */
void
detach_for_retention(TaskContext *context)
{
	Work work;

	read_work(context->task, &work);
	if (is_kind(&work, "partition"))
		detach_partition(context->task->relation);
}

/*
 * Prepare the job of an archive, and write it.
 */
static void
archive_rows(TaskContext *context, const Work *work,
			 const RetentionPolicy *policy, const char *condition)
{
	const ClaimedTask *task = context->task;
	ArchiveJob job = {0};
	ArchiveResult result;
	LedgerScope scope;

	job.policy = policy;
	job.run_id = context->run_id;
	job.owner = table_owner(task->relation);
	job.relation = qualified_name(policy->relation);
	if (task->relation != policy->relation)
		job.partition = pstrdup(task->target);
	job.from = work->from;
	job.to = work->to;
	ledger_enter(&scope);
	read_archived_columns(task->relation, &job.columns);
	if (!lock_upload_of_task(task->task_id, &job.upload))
		elog(ERROR, "task %lld has no upload", (long long) task->task_id);
	ledger_leave(&scope);
	job.query = condition == NULL
					? psprintf("SELECT %s FROM ONLY %s", job.columns.list,
							   qualified_name(task->relation))
					: psprintf("DELETE FROM ONLY %s WHERE %s RETURNING %s",
							   qualified_name(task->relation), condition,
							   job.columns.list);
	write_archive(&job, &result);
	context->result =
		psprintf("{\"rows\": %lld, \"archive_id\": %s, \"bytes\": %lld, "
				 "\"content_bytes\": %lld}",
				 (long long) result.rows,
				 result.archive_id == 0
					 ? "null"
					 : psprintf("%lld", (long long) result.archive_id),
				 (long long) result.bytes, (long long) result.content_bytes);
}

void
execute_retention(TaskContext *context)
{
	const ClaimedTask *task = context->task;
	LedgerScope scope;
	RetentionPolicy policy;
	char *condition = NULL;
	Work work;
	bool found;

	read_work(task, &work);
	if (is_leftover(task))
	{
		carry_out_leftover(context);
		return;
	}
	ledger_enter(&scope);
	found = read_policy(work.policy_id, &policy);
	ledger_leave(&scope);
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("retention policy %lld was dropped meanwhile",
							   (long long) work.policy_id)));

	if (is_kind(&work, "partition"))
		lock_detached_partition(task->relation);
	else
		condition = slice_condition(&policy, task->relation,
									work.open ? NULL : work.from, work.to);
	if (policy.archive)
		archive_rows(context, &work, &policy, condition);
	else if (condition != NULL)
		context->result =
			psprintf("{\"rows\": %lld}",
					 (long long) execute_as_owner(
						 table_owner(task->relation),
						 psprintf("DELETE FROM ONLY %s WHERE %s",
								  qualified_name(task->relation), condition)));
	if (is_kind(&work, "partition"))
		drop_detached_partition(task->relation, table_owner(task->relation));
	if (context->result == NULL)
		context->result = "{\"dropped\": true}";
}
