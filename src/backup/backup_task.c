/*-------------------------------------------------------------------------
 *
 * backup_task.c
 *	  Execution of tasks of the action "backup".
 *
 * The backup and its upload are recorded and committed before the first byte
 * is sent.  However the task ends, the record then becomes one of a backup
 * that succeeded or failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "action/evidence.h"
#include "action/headroom.h"
#include "action/leftovers.h"
#include "action/repack.h"
#include "action/result.h"
#include "backup/backup_options.h"
#include "backup/backup_task.h"
#include "backup/dump.h"
#include "base/wording.h"
#include "objects/keys.h"
#include "storage/storage.h"

/*
 * pg_dump runs as the operating-system user of the server, so the role needs
 * the privileges that COPY FROM PROGRAM needs.
 */
static void
check_rights(void)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("permission denied to run pg_dump"),
		 errdetail("Role \"%s\" does not have the privileges of "
				   "role \"%s\".",
				   GetUserNameFromId(GetUserId(), false),
				   "pg_execute_server_program"),
		 errhint(
			 "As a superuser, execute GRANT pg_execute_server_program TO %s.",
			 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static void
check_database(const char *database)
{
	if (database == NULL || OidIsValid(get_database_oid(database, true)))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_DATABASE),
		 errmsg("database \"%s\" does not exist", database),
		 errhint("To list the databases: SELECT datname FROM pg_database.")));
}

/*
 * A full disk would stop more than the backup.
 */
static void
check_room(const TaskContext *context, Storage *storage)
{
	int64 expected =
		evidence_number(context->task, "expected_object_bytes", 0);
	int64 min_free =
		option_bytes(backup_options, context->options, "min_free");
	int64 available = storage_free_bytes(storage);

	if (available < 0 || available >= expected + min_free)
		return;
	ereport(ERROR, (errcode(ERRCODE_DISK_FULL),
					errmsg("not enough disk space for the backup on storage "
						   "\"%s\": %s are free, about %s are needed, and %s "
						   "must stay free",
						   storage_name(storage), size_text(available),
						   size_text(expected), size_text(min_free)),
					errhint("Make room, remove old backups with the action "
							"expire_backups, or use another storage.")));
}

/*
 * The key of this attempt, with its time in UTC, so that names never go back.
 * Of attempts that begin in the same second, the later ones get the next
 * second.
 */
static char *
free_key(const ClaimedTask *task)
{
	char *template = evidence_text(task, "key");
	char *storage = evidence_text(task, "storage");
	const char *place = strstr(template, KEY_TIME);

	for (pg_time_t now = (pg_time_t) time(NULL);; now++)
	{
		char text[32];
		char *key;

		pg_strftime(text, sizeof(text), "%Y%m%d-%H%M%S", pg_gmtime(&now));
		key = psprintf("%.*s%s%s", (int) (place - template), template, text,
					   place + strlen(KEY_TIME));
		if (!backup_key_is_taken(storage, key))
			return key;
	}
}

/*
 * The record of this attempt, without its key.
 */
static void
plan_record(const TaskContext *context, BackupRecord *record)
{
	const ClaimedTask *task = context->task;

	memset(record, 0, sizeof(*record));
	record->run_id = context->run_id;
	record->kind = evidence_text(task, "kind");
	record->storage = evidence_text(task, "storage");
	record->database = evidence_text(task, "database");
	record->selection = evidence_text(task, "selection");
	record->compression = evidence_text(task, "compression");
}

HoldBack
consider_backup(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	BackupRecord record;
	Storage *storage;
	LedgerScope scope;
	List *earlier;
	ListCell *cell;

	if (is_leftover(task))
		return HOLD_BACK_NOTHING;
	plan_record(context, &record);
	check_rights();
	check_database(record.database);
	storage = storage_open(record.storage, STORAGE_WRITE);
	check_room(context, storage);

	ledger_enter(&scope);
	earlier = uploads_of_task(task->task_id);
	ledger_leave(&scope);
	foreach (cell, earlier)
		(void) remove_leftover(*(int64 *) lfirst(cell));

	ledger_enter(&scope);
	(void) fail_backup_records(task->task_id, "interrupted");
	record.key = free_key(task);
	note_upload_of_attempt(context, "backup", record.storage, record.key);
	add_backup_record(&record, task->task_id);
	ledger_leave(&scope);
	return HOLD_BACK_NOTHING;
}

static void
carry_out_backup(TaskContext *context)
{
	const ClaimedTask *task = context->task;
	BackupRecord record;
	DumpJob job = {0};
	StringInfoData result;
	LedgerScope scope;
	char *database = evidence_text(task, "database");

	/* roles and tablespaces are in catalogs, which REPACK does not rewrite */
	if (database != NULL)
		keep_out_repack(database);
	ledger_enter(&scope);
	if (!find_backup_of_task(task->task_id, &record) ||
		!find_upload_of_task(task->task_id, &job.upload))
		elog(ERROR, "task %lld has no backup record",
			 (long long) task->task_id);
	ledger_leave(&scope);
	job.record = &record;
	job.arguments = record.database == NULL
						? globals_arguments(context->options)
						: dump_arguments(context->options);
	(void) backup_compression(context->options, &job.compression_level);
	job.exclude_secrets =
		option_boolean(backup_options, context->options, "exclude_secrets");
	job.lock_wait = context->max_wait;
	job.expected_bytes = evidence_number(task, "expected_bytes", 0);
	back_up(&job);
	initStringInfo(&result);
	appendStringInfo(&result,
					 "{\"backup_id\": %lld, \"bytes\": %lld, "
					 "\"dump_bytes\": %lld, \"key\": ",
					 (long long) record.backup_id, (long long) record.bytes,
					 (long long) record.dump_bytes);
	escape_json(&result, record.key);
	appendStringInfoChar(&result, '}');
	context->result = result.data;
}

void
execute_backup(TaskContext *context)
{
	if (is_leftover(context->task))
		carry_out_leftover(context);
	else
		carry_out_backup(context);
}

char *
describe_backup_result(const ClaimedTask *task, Jsonb *result)
{
	if (is_leftover(task))
		return describe_leftover(result);
	return psprintf("%s in %s, %s before compression",
					size_text(result_number(result, "bytes")),
					result_text(result, "key"),
					size_text(result_number(result, "dump_bytes")));
}

/*
 * retries after a table was rewritten during the dump: number, and delay in
 * milliseconds
 */
#define REWRITE_RETRIES 4
#define REWRITE_DELAY 500

/*
 * A retry cannot fix errors of rights, names and options, nor a cancellation.
 * An existing object is an exception: another database was backed up in the
 * same second, and the next attempt has another key.
 */
static bool
may_pass(const char *sqlstate)
{
	static const char *const lasting[] = {"42", "22", "28",
										  "3D", "0A", "57014"};

	if (strcmp(sqlstate, "42710") == 0)
		return true;
	for (int i = 0; i < lengthof(lasting); i++)
	{
		if (strncmp(sqlstate, lasting[i], strlen(lasting[i])) == 0)
			return false;
	}
	return true;
}

/*
 * Did the previous backup of the same kind, database and selection fail?
 */
static bool
failed_before(const ClaimedTask *task)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task->task_id);
	bind_text(&query, evidence_text(task, "kind"));
	bind_text(&query, evidence_text(task, "storage"));
	bind_text(&query, evidence_text(task, "database"));
	bind_text(&query, evidence_text(task, "selection"));
	return ledger_query(
			   &query,
			   "SELECT FROM (SELECT b.state FROM pgmaint_internal.backup_records b "
			   "WHERE b.task_id IS DISTINCT FROM $1 AND b.kind = $2 "
			   "AND b.storage = $3::pg_catalog.name "
			   "AND b.database IS NOT DISTINCT FROM $4::pg_catalog.name "
			   "AND b.selection IS NOT DISTINCT FROM $5::pg_catalog.jsonb "
			   "ORDER BY b.started_at DESC LIMIT 1) x "
			   "WHERE x.state NOT IN ('succeeded', 'expired')") > 0;
}

static void
note_failure(TaskContext *context)
{
	const ClaimedTask *task = context->task;
	bool repeated = failed_before(task);

	(void) note_finding(
		&context->findings, "backup", repeated ? "critical" : "warning",
		pstrdup(task->target),
		psprintf("the backup of %s failed%s: %s", task->target,
				 repeated ? ", as did the previous one" : "", context->error));
}

void
clean_up_backup(TaskContext *context, const char *sqlstate)
{
	const ClaimedTask *task = context->task;
	LedgerScope scope;

	if (is_leftover(task))
		return;
	ledger_begin(&scope, context->extension);
	if (!fail_backup_records(task->task_id, context->error))
	{
		BackupRecord record;

		/* the task failed before its record was added */
		plan_record(context, &record);
		record.key = free_key(task);
		add_backup_record(&record, task->task_id);
		(void) fail_backup_records(task->task_id, context->error);
	}
	if (strcmp(sqlstate, "57014") != 0)
		note_failure(context);
	ledger_commit(&scope);
	if (strcmp(sqlstate, "40001") == 0)
	{
		context->retries = REWRITE_RETRIES;
		context->retry_delay = REWRITE_DELAY;
	}
	else if (may_pass(sqlstate))
	{
		context->retries =
			(int) option_integer(backup_options, context->options, "retries");
		context->retry_delay =
			(int64) (1000 * option_seconds(backup_options, context->options,
										   "retry_delay"));
	}
	remove_uploads_of_task(context);
}
