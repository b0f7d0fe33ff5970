/*-------------------------------------------------------------------------
 *
 * verify_outcome.c
 *	  The result of a verification in the ledger, beside the backup, and as
 *	  findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "backup/records.h"
#include "backup/restoring.h"
#include "backup/verification.h"
#include "base/error_text.h"
#include "base/subtransaction.h"
#include "base/wording.h"
#include "ledger/identity.h"
#include "objects/keys.h"

/* maximum size of a result beside a backup, with its error */
#define MAX_RESULT_BYTES ((size_t) 16 * 1024 * 1024)

/*
 * Did this database write the existing result? A result without an identity
 * was written by an earlier version, in the database that made the backup.
 */
static bool
is_own_result(const char *result, const char *maker)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *writer;
	bool own;

	bind_text(&query, result);
	bind_text(&query, maker);
	ledger_enter(&scope);
	(void) ledger_query(
		&query, "SELECT coalesce($1::pg_catalog.jsonb ->> 'identity', $2)");
	writer = ledger_text(0, 1);
	own = writer != NULL && is_own_identity(writer);
	ledger_leave(&scope);
	return own;
}

static char *
own_identity(void)
{
	LedgerScope scope;
	char *identity;

	ledger_enter(&scope);
	identity = known_identity();
	ledger_leave(&scope);
	return identity;
}

/*
 * Store the result beside the backup, for servers with another ledger.  A
 * result that another database wrote is kept.
 */
static void
store_result(void *argument)
{
	const Verification *verification = argument;
	const BackupDescription *description = verification->description;
	Storage *storage = storage_open(verification->storage, STORAGE_WRITE);
	char *key = verification_key(verification->key);
	StoredObject there;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"pgmaint\": \"verification\", \"key\": ");
	escape_json(&json, verification->key);
	appendStringInfoString(&json, ", \"sha256\": ");
	escape_json(&json, description->sha256);
	appendStringInfoString(&json, ", \"mark\": ");
	escape_json(&json, description->mark);
	appendStringInfo(
		&json,
		", \"verification\": \"%s\", \"verified_at\": \"%s\", "
		"\"restore_seconds\": %s, \"error\": ",
		verification->refusal != NULL ? "not restorable"
		: strcmp(verification->description->kind, "globals") == 0
			? "intact"
			: "restorable",
		DatumGetCString(DirectFunctionCall1(
			timestamptz_out, TimestampTzGetDatum(GetCurrentTimestamp()))),
		verification->refusal != NULL
			? "null"
			: psprintf("%.3f",
					   (double) verification->restore.milliseconds / 1000));
	if (verification->refusal == NULL)
		appendStringInfoString(&json, "null");
	else
		escape_json(&json, verification->refusal);
	if (verification->refusal == NULL &&
		strcmp(description->kind, "database") == 0)
		appendStringInfo(&json, ", \"restore_settings\": \"%s\"",
						 verification->settings);
	appendStringInfoString(&json, ", \"server_version\": ");
	escape_json(&json, GetConfigOption("server_version", false, false));
	appendStringInfo(&json, ", \"identity\": \"%s\"}", own_identity());
	if (storage_stat(storage, key, &there))
	{
		if (there.mark == NULL || strcmp(there.mark, description->mark) != 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
							errmsg("object \"%s\" already exists and does "
								   "not belong to this backup",
								   key)));
		if (!is_own_result(storage_get_text(storage, key, MAX_RESULT_BYTES),
						   description->identity))
			return;
		storage_delete(storage, key);
	}
	storage_put_text(storage, key, "application/json", description->mark,
					 json.data);
}

static void
store_result_if_possible(Verification *verification)
{
	ErrorData *error;

	if (verification->description->mark == NULL)
		return;
	begin_restoring();
	error = try_unless_stopped(store_result, verification);
	end_restoring();
	if (error != NULL)
		add_task_finding(
			verification->context, "info", verification->key,
			psprintf("result of verifying %s could not be stored beside the "
					 "backup, only in the ledger: %s",
					 verification->key, error_text(error)));
}

/*
 * Findings for objects that were not verified; missing tables are a warning.
 */
static void
report_left_out(Verification *verification)
{
	const EntryChoice *choice = &verification->preparation.choice;
	char *left_out = describe_left_out(choice);
	const char *severity = left_out_any(choice, "TABLE") ? "warning" : "info";
	ListCell *cell;

	foreach (cell, verification->preparation.refused)
		add_task_finding(
			verification->context, "info", verification->key,
			psprintf("backup %s was verified without extension %s",
					 verification->key, (char *) lfirst(cell)));
	if (verification->comparison.amcheck &&
		verification->comparison.checked_indexes < 0)
		add_task_finding(
			verification->context, "warning", verification->key,
			psprintf("backup %s was verified without checking its indexes: "
					 "the restored extension amcheck has no C function "
					 "bt_index_check that belongs to a superuser",
					 verification->key));
	if (left_out != NULL)
		add_task_finding(
			verification->context, severity, verification->key,
			psprintf("verification of %s left out objects that only a "
					 "superuser may create, and objects that depend on them: "
					 "%s",
					 verification->key, left_out));
}

/*
 * A finding for the cost of a restore in this server.
 */
static void
report_cost(Verification *verification)
{
	add_task_finding(
		verification->context, "warning", verification->key,
		psprintf("backup %s was restored into a database of this server, "
				 "used %s of its disk, wrote as much WAL, and took memory "
				 "from all databases; to use a private server, remove the "
				 "option \"where\"",
				 verification->key,
				 size_text(verification->description->database_bytes)));
}

static char *
seconds_text(int64 milliseconds)
{
	return psprintf("%.3f", (double) milliseconds / 1000);
}

void
record_outcome(Verification *verification)
{
	TaskContext *context = verification->context;
	const Comparison *comparison = &verification->comparison;
	int64 milliseconds = verification->restore.milliseconds;
	bool durable = false;
	LedgerScope scope;

	/* backups of roles, and damaged ones, are not restored */
	if (verification->proof != NULL)
		verification->settings = verification->proof->settings;
	else
		verification->settings = describe_live_server(&durable);
	if (verification->backup_id > 0)
	{
		ledger_begin(&scope, context->extension);
		record_verification(verification->backup_id, context->run_id,
							verification->refusal, milliseconds,
							verification->settings, durable);
		ledger_commit(&scope);
	}
	store_result_if_possible(verification);
	if (verification->refusal != NULL)
	{
		context->failure =
			psprintf("not restorable: %s", verification->refusal);
		context->failure_state = ERRCODE_DATA_CORRUPTED;
		add_task_finding(context, "critical", verification->key,
						 psprintf("backup %s in storage \"%s\" is not "
								  "restorable: %s",
								  verification->key, verification->storage,
								  verification->refusal));
		return;
	}
	if (strcmp(verification->description->kind, "globals") == 0)
	{
		context->result = psprintf(
			"{\"bytes\": %lld}", (long long) verification->description->bytes);
		return;
	}
	report_left_out(verification);
	if (!verification->in_server)
		report_cost(verification);
	context->result = psprintf(
		"{\"settings\": \"%s\", \"server_seconds\": %s, "
		"\"restore_seconds\": %.3f, \"comparison_seconds\": %.3f, "
		"\"check_seconds\": %s, \"bytes_per_second\": %lld, "
		"\"tables\": %lld, \"rows\": %lld, \"indexes\": %lld, "
		"\"constraints\": %lld, \"sequences\": %lld, "
		"\"checked_indexes\": %s, \"left_out\": %d, \"verifications\": %d}",
		verification->settings,
		verification->proof != NULL
			? seconds_text(verification->proof->milliseconds)
			: "null",
		(double) milliseconds / 1000, (double) comparison->milliseconds / 1000,
		comparison->checked_indexes < 0
			? "null"
			: seconds_text(comparison->check_milliseconds),
		(long long) (verification->description->dump_bytes * 1000 /
					 Max(milliseconds, 1)),
		(long long) comparison->tables, (long long) comparison->rows,
		(long long) comparison->indexes, (long long) comparison->constraints,
		(long long) comparison->sequences,
		comparison->checked_indexes < 0
			? "null"
			: psprintf("%lld", (long long) comparison->checked_indexes),
		list_length(verification->preparation.choice.left_out),
		list_length(verification->questioning.answers));
}
