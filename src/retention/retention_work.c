/*-------------------------------------------------------------------------
 *
 * retention_work.c
 *	  The planned work of tasks of the action "retention", and their archives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/evidence.h"
#include "retention/retention_work.h"

void
read_work(const ClaimedTask *task, RetentionWork *work)
{
	work->kind = evidence_text(task, "kind");
	work->cutoff = evidence_text(task, "cutoff");
	work->from = evidence_text(task, "from");
	work->to = evidence_text(task, "to");
	work->key = evidence_text(task, "key");
	work->open = evidence_flag(task, "open");
	work->empty = evidence_flag(task, "empty");
	work->policy_id = evidence_number(task, "policy_id", 0);
	work->parent = (Oid) evidence_number(task, "parent", InvalidOid);
	if (work->kind == NULL)
		elog(ERROR, "task %lld has no plan", (long long) task->task_id);
}

/*
 * Is the task about a whole partition instead of a slice of a table?
 */
bool
is_whole(const RetentionWork *work)
{
	return strcmp(work->kind, "partition") == 0 ||
		   strcmp(work->kind, "detached") == 0;
}

/*
 * Archive the rows of a table: all of them, or those that match a condition,
 * which are deleted.
 */
void
archive_rows(TaskContext *context, const RetentionWork *work,
			 const RetentionPolicy *policy, Oid relation, const char *key,
			 const char *condition, RetentionArchives *archives)
{
	ArchiveJob job = {0};
	ArchiveResult result;
	LedgerScope scope;
	char *name = hold_name(relation);

	job.policy = policy;
	job.run_id = context->run_id;
	job.owner = table_owner(relation);
	job.relation = qualified_name(policy->relation);
	if (relation != policy->relation)
		job.partition = name;
	job.from = work->from;
	job.to = work->to;
	ledger_enter(&scope);
	read_archived_columns(relation, &job.columns);
	if (!lock_upload_of_task(context->task->task_id, key, &job.upload))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("object \"%s\" was not registered as an "
							   "upload before it was written",
							   key)));
	ledger_leave(&scope);
	job.query =
		condition == NULL
			? psprintf("SELECT %s FROM ONLY %s", job.columns.list, name)
			: psprintf("DELETE FROM ONLY %s WHERE %s RETURNING %s", name,
					   condition, job.columns.list);
	write_archive(&job, &result);
	require_name(relation, name);
	archives->total.rows += result.rows;
	archives->total.bytes += result.bytes;
	archives->total.content_bytes += result.content_bytes;
	if (result.archive_id != 0)
		appendStringInfo(&archives->numbers, "%s%lld",
						 archives->numbers.len > 0 ? ", " : "",
						 (long long) result.archive_id);
}
