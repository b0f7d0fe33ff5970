/*-------------------------------------------------------------------------
 *
 * restore_backup.c
 *	  The action "restore_backup": restores a backup into a new database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "action/headroom.h"
#include "action/selection.h"
#include "backup/records.h"
#include "backup/restore_task.h"
#include "backup/restoring.h"

static const ActionOption options[] = {
	RANGE_OPTION("backup_id", OPTION_INTEGER, 1, 1e15, NULL,
				 "restore the backup with this number in pgmaint.backups"),
	PLAIN_OPTION("storage", OPTION_TEXT, NULL,
				 "storage of the backup; requires key or database"),
	PLAIN_OPTION("key", OPTION_TEXT, NULL, "restore the backup with this key"),
	PLAIN_OPTION("database", OPTION_TEXT, NULL,
				 "restore the newest backup of the database with this name, "
				 "of those that the database of the run has made"),
	PLAIN_OPTION("into", OPTION_TEXT, NULL,
				 "name of the restored database; default: "
				 "DATABASE_restored_YYYYMMDDHHMM, or with replace the name "
				 "of the backed-up database"),
	PLAIN_OPTION("replace", OPTION_BOOLEAN, "false",
				 "replace the existing database of that name, which is kept "
				 "as NAME_YYYYMMDDHHMM"),
	PLAIN_OPTION("create_roles", OPTION_BOOLEAN, "false",
				 "create roles that the backup needs and the server lacks, "
				 "without LOGIN"),
	PLAIN_OPTION("no_owner", OPTION_BOOLEAN, "false",
				 "make the role that restores the owner of all objects, and "
				 "restore no privileges"),
	MIN_FREE_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

static void
refuse_options(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("action \"restore_backup\" %s", message),
			 errhint("Use {\"backup_id\": 1}, {\"storage\": \"name\", "
					 "\"key\": \"...\"} or {\"storage\": \"name\", "
					 "\"database\": \"...\"}. To list backups: SELECT * FROM "
					 "pgmaint.backups, or SELECT * FROM "
					 "pgmaint.list_backups(storage).")));
}

static void
append_text(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, ", \"%s\": ", name);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, value);
}

/*
 * A backup in the ledger is planned without access to the storage; others are
 * looked up when the task is executed.
 */
static void
plan_restore_backup(PlanContext *context)
{
	char *storage = option_text(options, context->options, "storage");
	char *key = option_text(options, context->options, "key");
	char *database = option_text(options, context->options, "database");
	char *into = option_text(options, context->options, "into");
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	StringInfoData evidence;
	BackupRecord record = {0};

	task->bytes = -1;
	if (option_given(context->options, "backup_id"))
	{
		int64 backup_id =
			option_integer(options, context->options, "backup_id");

		if (storage != NULL || key != NULL || database != NULL)
			refuse_options("does not allow option \"backup_id\" together "
						   "with \"storage\", \"key\" or \"database\"");
		if (!read_backup_record(backup_id, &record))
			ereport(
				ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("backup %lld does not exist", (long long) backup_id),
				 errhint(
					 "To list the backups: SELECT * FROM pgmaint.backups.")));
		if (strcmp(record.state, "succeeded") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("backup %lld cannot be restored: its state is %s",
							(long long) backup_id, record.state)));
		storage = record.storage;
		key = record.key;
		task->bytes = record.database_bytes;
	}
	else if (storage == NULL)
		refuse_options("requires option \"backup_id\" or \"storage\"");
	else if ((key == NULL) == (database == NULL))
		refuse_options("requires option \"key\" or \"database\", but not "
					   "both, together with \"storage\"");
	else if (key != NULL)
		record.backup_id = find_backup_record(storage, key);

	initStringInfo(&evidence);
	appendStringInfo(&evidence, "{\"backup_id\": %lld",
					 (long long) record.backup_id);
	append_text(&evidence, "storage", storage);
	append_text(&evidence, "key", key);
	append_text(&evidence, "database", database);
	appendStringInfoChar(&evidence, '}');
	task->action = "restore_backup";
	task->target = key != NULL ? psprintf("%s/%s", storage, key)
							   : psprintf("%s in storage %s",
										  quote_identifier(database), storage);
	task->command = psprintf(
		"restore %s%s%s%s%s", key != NULL ? "" : "the newest backup of ",
		task->target,
		option_boolean(options, context->options, "replace") ? " in place of "
															 : " into ",
		into != NULL ? "database " : "",
		into != NULL ? quote_identifier(into)
		: option_boolean(options, context->options, "replace")
			? "the backed-up database"
			: "a new database");
	task->reason = pstrdup("requested");
	task->evidence = evidence.data;
	context->tasks = lappend(context->tasks, task);
}

DEFINE_ACTION(restore_backup) = {
	.name = "restore_backup",
	.description = "restore a backup into a new database, or replace the "
				   "existing database, which is kept under another name",
	.options = options,
	.plan = plan_restore_backup,
	.outside = carry_out_restoration,
	.describe = describe_restoration,
	.clean_up = clean_up_restoration,
};
