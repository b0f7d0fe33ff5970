/*-------------------------------------------------------------------------
 *
 * restore_task.c
 *	  Execution of tasks of the action "restore_backup".
 *
 * The backup is restored with the rights of the caller into a database that
 * only the caller may connect to, and compared with its manifest.  Only then
 * does the database get its owner, its rights and its name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "backup/handover.h"
#include "backup/prepare.h"
#include "backup/records.h"
#include "backup/restoration.h"
#include "backup/restore_task.h"
#include "backup/restoring.h"
#include "base/compat.h"
#include "base/error_text.h"
#include "base/settings.h"
#include "base/subtransaction.h"
#include "exec/toplevel.h"

/* between two attempts to rename a database that is in use */
#define RENAME_PAUSE_MS 1000

/*
 * The dump's event triggers exist before its materialized views are filled: one
 * that refuses or logs DDL would make a good restore fail or differ.  From 17 on,
 * sessions of superusers, who alone create event triggers, fire none anyway.
 */
static char *
settings_for_restoring(const Restoration *restoration)
{
	char *given = restoring_settings(restoration->context->options,
									 restoration->description);
	StringInfoData settings;

	if (SERVER_MAJOR_VERSION >= 17 || !restoration->restore.login->superuser)
		return given;
	initStringInfo(&settings);
	appendStringInfoString(&settings, given);
	append_setting(&settings, "session_replication_role", "replica");
	return settings.data;
}

static void
restore_and_compare(Restoration *restoration)
{
	RestoreJob *restore = &restoration->restore;
	Comparison *comparison = &restoration->comparison;
	bool earlier;

	begin_restoring();
	restoration->choice.without_extensions =
		extensions_elsewhere(restoration->description);
	if (restoration->no_owner)
		restoration->choice.missing_roles =
			restoration->description->missing_roles;
	restore->storage = storage_open(restoration->storage, STORAGE_READ);
	restore->description = restoration->description;
	restore->login =
		role_login(restoration->scratch->database, GetUserId(), true);
	restore->database = restoration->scratch->database;
	restore->settings = settings_for_restoring(restoration);
	restore->choice = &restoration->choice;
	if (restoration->no_owner)
		restore->arguments =
			list_make2(pstrdup("--no-owner"), pstrdup("--no-privileges"));
	earlier =
		restore->login->superuser &&
		create_earlier_version(restore->login, restore->settings,
							   restoration->description, &restoration->choice);
	restoration->refusal = restore_object(restore);
	if (restoration->refusal == NULL)
	{
		if (earlier)
			update_earlier_version(restore->login, restore->settings);
		comparison->login = restore->login;
		comparison->settings = restore->settings;
		comparison->description = restoration->description;
		comparison->left_out = restoration->choice.list;
		compare_with_manifest(comparison);
		restoration->refusal = comparison->differences;
	}
	end_restoring();
}

/*
 * The database gets its name, and its row as a scratch database is deleted, in
 * one transaction: from then on, pgmaint never drops it.
 */
static bool
hand_over(Restoration *restoration, const char *name, const char *old_name)
{
	LedgerScope scope;
	bool renamed;

	begin_restoring();
	renamed = rename_database(
		restoration->scratch->database,
		restoration->no_owner ? NULL : restoration->description->owner, name,
		old_name);
	if (renamed)
	{
		ledger_enter(&scope);
		forget_scratch(restoration->scratch->database);
		ledger_leave(&scope);
	}
	end_restoring();
	return renamed;
}

/*
 * Tries again while sessions are connected, and terminates none.
 */
static bool
replace_database(Restoration *restoration)
{
	TimestampTz begun = GetCurrentTimestamp();

	while (!hand_over(restoration, restoration->name, restoration->old_name))
	{
		if (TimestampDifferenceExceeds(begun, GetCurrentTimestamp(),
									   restoration->context->max_wait))
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 RENAME_PAUSE_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/*
 * A complete database is kept, even if it cannot replace the existing one.
 */
static void
rename_to_spare(Restoration *restoration)
{
	TaskContext *context = restoration->context;
	char *sessions;

	begin_restoring();
	sessions = name_sessions(restoration->name);
	end_restoring();
	if (!hand_over(restoration, restoration->spare_name, NULL))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("restored database \"%s\" is in use",
							   restoration->scratch->database)));
	context->failure =
		psprintf("database %s was restored as %s, but not replaced, because "
				 "sessions are using it: %s; when these have ended: ALTER "
				 "DATABASE %s RENAME TO %s; ALTER DATABASE %s RENAME TO %s",
				 quote_identifier(restoration->name),
				 quote_identifier(restoration->spare_name), sessions,
				 quote_identifier(restoration->name),
				 quote_identifier(restoration->old_name),
				 quote_identifier(restoration->spare_name),
				 quote_identifier(restoration->name));
	context->failure_state = ERRCODE_OBJECT_IN_USE;
	add_task_finding(context, "critical", restoration->name,
					 pstrdup(context->failure));
}

static void
restore_properties(Restoration *restoration)
{
	List *failures;
	ListCell *cell;
	char *left_out = describe_left_out(&restoration->choice);

	begin_restoring();
	failures = restore_database_properties(
		restoration->scratch->database, restoration->description,
		restoration->no_owner ? NULL : restoration->choice.database_rights);
	end_restoring();
	foreach (cell, failures)
		add_task_finding(
			restoration->context, "warning", restoration->name,
			psprintf("database %s was restored without a setting, comment or "
					 "privilege: %s",
					 quote_identifier(restoration->name),
					 (char *) lfirst(cell)));
	if (left_out != NULL)
		add_task_finding(
			restoration->context, "warning", restoration->name,
			psprintf("database %s was restored without objects that belong "
					 "in another database, need a missing role or would "
					 "connect to other servers: %s",
					 quote_identifier(restoration->name), left_out));
}

static void
give_up(Restoration *restoration)
{
	TaskContext *context = restoration->context;

	context->failure = psprintf("backup %s could not be restored: %s",
								restoration->key, restoration->refusal);
	context->failure_state = ERRCODE_DATA_CORRUPTED;
	add_task_finding(context, "critical", restoration->key,
					 pstrdup(context->failure));
}

static void
describe_result(Restoration *restoration)
{
	const Comparison *comparison = &restoration->comparison;
	int64 milliseconds = restoration->restore.milliseconds;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"database\": ");
	escape_json(&json, restoration->name);
	if (restoration->old_name != NULL)
	{
		appendStringInfoString(&json, ", \"replaced\": ");
		escape_json(&json, restoration->old_name);
	}
	appendStringInfo(
		&json,
		", \"restore_seconds\": %.3f, \"bytes_per_second\": %lld, "
		"\"tables\": %lld, \"rows\": %lld, \"indexes\": %lld, "
		"\"constraints\": %lld, \"sequences\": %lld}",
		(double) milliseconds / 1000,
		(long long) (restoration->description->dump_bytes * 1000 /
					 Max(milliseconds, 1)),
		(long long) comparison->tables, (long long) comparison->rows,
		(long long) comparison->indexes, (long long) comparison->constraints,
		(long long) comparison->sequences);
	restoration->context->result = json.data;
}

static void
record_duration(void *argument)
{
	const Restoration *restoration = argument;
	LedgerScope scope;

	ledger_enter(&scope);
	record_safe_restore(restoration->storage, restoration->key,
						restoration->description->sha256,
						restoration->restore.milliseconds);
	ledger_leave(&scope);
}

/*
 * The restored database has its name already: an error here must neither make
 * the task fail nor delay it.
 */
static void
record_duration_if_possible(Restoration *restoration)
{
	ErrorData *error;

	begin_restoring();
	set_for_transaction("lock_timeout",
						psprintf("%d", restoration->context->max_wait));
	error = try_unless_stopped(record_duration, restoration);
	end_restoring();
	if (error != NULL)
		add_task_finding(
			restoration->context, "info", restoration->key,
			psprintf("duration of restoring %s could not be recorded in the "
					 "ledger: %s",
					 restoration->key, error_text(error)));
}

static void
create_missing_roles(const Restoration *restoration)
{
	ListCell *cell;

	if (!restoration->create_roles)
		return;
	foreach (cell, restoration->description->missing_roles)
	{
		execute_at_top_level(psprintf("CREATE ROLE %s NOLOGIN",
									  quote_identifier(lfirst(cell))));
		add_task_finding(
			restoration->context, "info", lfirst(cell),
			psprintf("role %s was created without LOGIN for the restore of %s",
					 quote_identifier(lfirst(cell)), restoration->key));
	}
}

void
carry_out_restoration(TaskContext *context)
{
	Restoration restoration = {.context = context};
	Oid caller = GetUserId(); /* a ledger scope has another user */
	LedgerScope scope;
	bool durable;

	restoration.backup_id = evidence_number(context->task, "backup_id", 0);
	restoration.storage = evidence_text(context->task, "storage");
	restoration.key = evidence_text(context->task, "key");
	if (!look_ahead_of_restoration(&restoration))
		return;
	if (restoration.refusal != NULL)
	{
		give_up(&restoration);
		return;
	}
	create_missing_roles(&restoration);
	ledger_begin(&scope, context->extension);
	restoration.scratch = note_scratch(context->task->task_id, caller, false);
	ledger_commit(&scope);
	create_scratch(restoration.scratch, restoration.description);
	restore_and_compare(&restoration);
	(void) describe_live_server(&durable);
	if (restoration.refusal != NULL)
	{
		(void) drop_scratch(restoration.scratch, context->extension);
		give_up(&restoration);
		return;
	}
	restore_properties(&restoration);
	describe_result(&restoration);
	if (!replace_database(&restoration))
		rename_to_spare(&restoration);
	if (durable)
		record_duration_if_possible(&restoration);
}

/*
 * A failed restore is a critical finding, since it may be part of an
 * emergency; a cancelled restore is none.
 */
void
clean_up_restoration(TaskContext *context, const char *sqlstate)
{
	drop_scratches_of_task(context);
	if (context->failure == NULL && strcmp(sqlstate, "57014") != 0)
		add_task_finding(context, "critical", context->task->target,
						 psprintf("backup %s could not be restored, and the "
								  "incomplete restore was removed: %s",
								  context->task->target, context->error));
}
