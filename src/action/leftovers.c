/*-------------------------------------------------------------------------
 *
 * leftovers.c
 *	  Leftovers of interrupted tasks in storages, and their removal.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "action/leftovers.h"
#include "action/result.h"
#include "action/selection.h"
#include "base/settings.h"
#include "objects/owner_verdicts.h"
#include "objects/uploads.h"

/*
 * Plan the removal of objects whose task was interrupted, or could not commit.
 */
void
plan_leftovers(PlanContext *context, const char *action)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_text(&query, action);
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.concat(u.storage, '/', u.key) AS object, u.task_id, u.upload_id, "
		"EXISTS (SELECT FROM pg_catalog.pg_foreign_server s WHERE s.srvname = u.storage) AS storage_exists, "
		"pg_catalog.to_char(u.begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"') AS begun_at, "
		"u.searched_at IS NOT NULL AS searched, pg_catalog.to_json(u.storage::text)::text AS storage_json "
		"FROM pgmaint_internal.uploads u LEFT JOIN pgmaint.tasks t ON t.task_id = u.task_id "
		"WHERE u.action = $1 AND coalesce(t.state, '') NOT IN ('pending', 'running') "
		"AND u.identity IN (SELECT o.identity FROM pgmaint_internal.removable_identities o) "
		"AND coalesce(u.searched_at < " SEARCH_AGAIN
		", true) ORDER BY u.upload_id");

	for (uint64 row = 0; row < rows; row++)
	{
		char *object = named_text(row, "object");
		PlannedTask *task;

		if (!named_boolean(row, "storage_exists"))
		{
			plan_finding(
				context, action, "warning", object,
				psprintf(
					"%s may be a leftover of task %lld, but the storage of the object no longer exists; if the object exists, remove it by hand",
					object, (long long) named_bigint(row, "task_id")),
				NULL);
			continue;
		}
		task = palloc0(sizeof(PlannedTask));
		task->action = action;
		task->target = object;
		task->bytes = -1;
		task->command = psprintf("remove leftover %s", object);
		task->reason = psprintf(
			"task %lld began to write the object at %s and did not commit%s",
			(long long) named_bigint(row, "task_id"),
			named_text(row, "begun_at"),
			named_boolean(row, "searched")
				? "; the object is searched for once more"
				: "");
		task->evidence = psprintf(
			"{\"kind\": \"leftover\", \"upload_id\": %lld, \"storage\": %s}",
			(long long) named_bigint(row, "upload_id"),
			named_text(row, "storage_json"));
		context->tasks = lappend(context->tasks, task);
	}
}

bool
is_leftover(const ClaimedTask *task)
{
	char *kind = evidence_text(task, "kind");

	return kind != NULL && strcmp(kind, "leftover") == 0;
}

/*
 * Remove the leftover of an earlier attempt of the same task.  A session that
 * has the row locked is still uploading.
 */
bool
remove_leftover(int64 upload_id)
{
	LedgerScope scope;
	Upload upload;
	bool found;

	ledger_enter(&scope);
	found = lock_leftover(upload_id, &upload);
	ledger_leave(&scope);
	if (!found)
		return false;
	found = remove_upload(&upload);
	ledger_enter(&scope);
	close_leftover(upload_id, found);
	ledger_leave(&scope);
	return found;
}

/*
 * A clone of the machine, made during an upload that the original has
 * committed since, takes the object for a leftover.  So a complete object
 * stays until the original has had time to show that it is alive.
 */
static bool
has_waited(const Upload *upload)
{
	return pgmaint_takeover_delay == 0 ||
		   (upload->searched_at != 0 &&
			TimestampDifferenceExceeds(upload->searched_at,
									   GetCurrentTimestamp(),
									   1000 * pgmaint_takeover_delay));
}

void
carry_out_leftover(TaskContext *context)
{
	int64 upload_id = evidence_number(context->task, "upload_id", 0);
	LedgerScope scope;
	Upload upload;
	bool found;

	ledger_enter(&scope);
	found = lock_leftover(upload_id, &upload);
	ledger_leave(&scope);
	if (found)
		context->not_done =
			why_not_ours(storage_open(upload.storage, STORAGE_WRITE),
						 upload.identity, context->run_id);
	if (context->not_done != NULL)
		return;
	if (found && !has_waited(&upload) && upload_is_complete(&upload))
	{
		ledger_enter(&scope);
		note_leftover_seen(upload_id);
		ledger_leave(&scope);
		context->result = "{\"removed\": false, \"complete\": true}";
		return;
	}
	context->result = psprintf("{\"removed\": %s}",
							   remove_leftover(upload_id) ? "true" : "false");
}

/*
 * The outcome of a task for a leftover, from its result.
 */
char *
describe_leftover(Jsonb *result)
{
	if (result_flag(result, "removed"))
		return "leftover removed from the storage";
	if (result_flag(result, "complete"))
		return "nothing removed: the object is complete and is kept for pgmaint.takeover_delay";
	return "nothing removed: the task left no object";
}

/*
 * Record the object that an attempt of a task is about to write, before its
 * first request.
 */
void
note_upload_of_attempt(TaskContext *context, const char *action,
					   const char *storage, const char *key)
{
	int64 upload_id =
		note_upload(context->task->task_id, action, storage, key);

	if (context->first_upload == 0)
	{
		context->first_upload = upload_id;
		storage_reset_written();
	}
}

/*
 * After an ERROR, the uploads of this process are leftovers.  If its first
 * request was refused, nothing was begun in the storage, and there is nothing
 * to search for: a later run could not search either as long as the storage
 * refuses requests.
 */
void
remove_uploads_of_task(const TaskContext *context)
{
	MemoryContext caller = CurrentMemoryContext;
	LedgerScope scope;
	List *uploads;
	ListCell *cell;

	ledger_begin(&scope, context->extension);
	if (context->first_upload != 0 && !storage_was_written())
		forget_uploads_since(context->task->task_id, context->first_upload);
	uploads = uploads_of_task(context->task->task_id);
	ledger_commit(&scope);
	if (uploads == NIL)
		return;
	StartTransactionCommand();
	MemoryContextSwitchTo(caller);
	foreach (cell, uploads)
		(void) remove_leftover(*(int64 *) lfirst(cell));
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}
