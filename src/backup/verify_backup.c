/*-------------------------------------------------------------------------
 *
 * verify_backup.c
 *	  The action "verify_backup": restores backups to verify them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "action/headroom.h"
#include "action/selection.h"
#include "backup/restoring.h"
#include "backup/verify_task.h"

static const ActionOption options[] = {
	RANGE_OPTION("backup_id", OPTION_INTEGER, 1, 1e15, NULL,
				 "verify only the backup with this number in pgmaint.backups"),
	PLAIN_OPTION("storage", OPTION_TEXT, NULL,
				 "verify only backups in this storage; required with key"),
	PLAIN_OPTION("key", OPTION_TEXT, NULL,
				 "verify only the backup with this key, even if it is not in "
				 "the ledger"),
	PLAIN_OPTION("databases", OPTION_NAMES, NULL,
				 "verify only backups of these databases"),
	CHOICE_OPTION("where", "server, database", "server",
				  "where backups are restored: server (a private server that "
				  "is started for this purpose) or database (a database of "
				  "this server, which slows this server down and writes WAL)"),
	PLAIN_OPTION(
		"amcheck", OPTION_SWITCH, "auto",
		"whether amcheck checks the restored indexes; auto: if the "
		"server has amcheck and, with where = database, the role is a "
		"superuser"),
	MIN_FREE_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

static void
plan_verification(PlanContext *context, int64 backup_id, const char *storage,
				  const char *key, char *reason, int64 bytes)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	StringInfoData evidence;

	initStringInfo(&evidence);
	appendStringInfo(&evidence, "{\"backup_id\": %lld, \"storage\": ",
					 (long long) backup_id);
	escape_json(&evidence, storage);
	appendStringInfoString(&evidence, ", \"key\": ");
	escape_json(&evidence, key);
	appendStringInfoChar(&evidence, '}');
	task->action = "verify_backup";
	task->target = psprintf("%s/%s", storage, key);
	task->command = psprintf("restore %s/%s and compare it with its manifest",
							 storage, key);
	task->reason = reason;
	task->evidence = evidence.data;
	task->bytes = bytes;
	context->tasks = lappend(context->tasks, task);
}

/*
 * The newest successful backup of each series, or the backup that the options
 * name.
 */
static uint64
find_backups(PlanContext *context, int64 backup_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	bind_text(&query, option_text(options, context->options, "storage"));
	bind_text(&query, option_text(options, context->options, "key"));
	bind_texts(&query, option_names(context->options, "databases"));
	return ledger_query(
		&query,
		"SELECT DISTINCT ON (b.storage, b.kind, b.database, b.selection) b.backup_id, "
		"b.storage::pg_catalog.text, b.key, pg_catalog.concat(CASE b.kind WHEN 'globals' THEN 'roles and tablespaces' "
		"ELSE pg_catalog.format('database %I', b.database) END, CASE WHEN b.selection IS NOT NULL "
		"THEN ', a part of the database' END, "
		"pg_catalog.to_char(b.started_at AT TIME ZONE 'UTC', '\", backup of\" YYYY-MM-DD HH24:MI:SS \"UTC\"'), "
		"coalesce(pg_catalog.to_char(b.verified_at AT TIME ZONE 'UTC', '\", last verified at\" YYYY-MM-DD HH24:MI:SS \"UTC\"'), "
		"', never verified'), CASE WHEN NOT EXISTS (SELECT FROM pgmaint_internal.own_identities o WHERE o.identity = b.identity) "
		"THEN pg_catalog.format(', made by another database with identity %s', coalesce(b.identity, 'unknown')) END) AS reason, "
		"b.database_bytes, b.state FROM pgmaint_internal.backup_records b "
		"WHERE (b.state = 'succeeded' OR b.backup_id = $1 OR b.key = $3) "
		"AND ($1 <> 0 OR $3 IS NOT NULL OR b.identity IN "
		"(SELECT o.identity FROM pgmaint_internal.own_identities o)) "
		"AND ($1 = 0 OR b.backup_id = $1) "
		"AND ($2 IS NULL OR b.storage = $2::pg_catalog.name) AND ($3 IS NULL OR b.key = $3) "
		"AND ($4 IS NULL OR b.database = ANY ($4::pg_catalog.name[])) "
		"ORDER BY b.storage, b.kind, b.database, b.selection, b.started_at DESC, b.backup_id DESC");
}

static void
plan_verify_backup(PlanContext *context)
{
	int64 backup_id =
		option_given(context->options, "backup_id")
			? option_integer(options, context->options, "backup_id")
			: 0;
	char *storage = option_text(options, context->options, "storage");
	char *key = option_text(options, context->options, "key");
	uint64 rows;

	if (key != NULL && storage == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"key\" of action \"verify_backup\" "
							   "requires option \"storage\"")));
	rows = find_backups(context, backup_id);
	for (uint64 row = 0; row < rows; row++)
	{
		if (strcmp(named_text(row, "state"), "succeeded") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("backup %lld cannot be verified: its state is %s",
							(long long) named_bigint(row, "backup_id"),
							named_text(row, "state"))));
		plan_verification(context, named_bigint(row, "backup_id"),
						  named_text(row, "storage"), named_text(row, "key"),
						  named_text(row, "reason"),
						  named_bigint(row, "database_bytes"));
	}
	if (rows > 0)
		return;
	if (backup_id > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("backup %lld does not exist", (long long) backup_id),
			 errhint("To list the backups: SELECT * FROM pgmaint.backups.")));
	if (key != NULL)
		plan_verification(
			context, 0, storage, key,
			pstrdup("requested; the backup is not in the ledger"), -1);
	else
		plan_finding(context, "backup", "warning", NULL,
					 storage == NULL &&
							 !option_given(context->options, "databases")
						 ? "no backup to verify: this database has no "
						   "successful backup; to make one, run the plan "
						   "\"daily\""
						 : "no backup to verify: no successful backup "
						   "matches the options",
					 NULL);
}

DEFINE_ACTION(verify_backup) = {
	.name = "verify_backup",
	.description = "restore backups into a private server and compare the "
				   "restored databases with the manifests of the backups",
	.options = options,
	.plan = plan_verify_backup,
	.outside = carry_out_verification,
	.describe = describe_restoration,
	.clean_up = clean_up_verification,
};
