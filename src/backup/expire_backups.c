/*-------------------------------------------------------------------------
 *
 * expire_backups.c
 *	  The action "expire_backups": removes backups that no rule keeps.
 *
 * pgmaint.backup_expiry() decides which backups expire.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "action/evidence.h"
#include "action/result.h"
#include "action/selection.h"
#include "backup/expire.h"
#include "base/wording.h"
#include "objects/owner_verdicts.h"

static const ActionOption options[] = {
	PLAIN_OPTION("storage", OPTION_TEXT, NULL,
				 "remove only backups in this storage"),
	PLAIN_OPTION("databases", OPTION_NAMES, NULL,
				 "remove only backups of these databases"),
	RANGE_OPTION("keep", OPTION_INTEGER, 1, 1000000, "30",
				 "number of newest backups to keep; no default if another "
				 "rule is given"),
	RANGE_OPTION("keep_days", OPTION_INTEGER, 1, 36500, NULL,
				 "also keep backups that began up to this many days before "
				 "the newest one"),
	RANGE_OPTION("keep_monthly", OPTION_INTEGER, 1, 1200, NULL,
				 "also keep the newest backup of each of this many months, "
				 "the last ones that have a backup"),
	RANGE_OPTION("keep_yearly", OPTION_INTEGER, 1, 100, NULL,
				 "also keep the newest backup of each of this many years, "
				 "the last ones that have a backup"),
	RANGE_OPTION(
		"minimum", OPTION_INTEGER, 1, 1000000, "2",
		"number of newest backups to keep even if the other rules keep fewer"),
	END_OF_OPTIONS,
};

/*
 * A rule that is not given is null: backup_expiry() knows the defaults.
 */
static void
bind_rule(LedgerQuery *query, Jsonb *given, const char *name)
{
	if (option_given(given, name))
		bind_integer(query, (int32) option_integer(options, given, name));
	else
		bind_null(query, INT4OID);
}

static void
bind_options(LedgerQuery *query, Jsonb *given)
{
	bind_text(query, option_text(options, given, "storage"));
	bind_texts(query, option_names(given, "databases"));
	bind_rule(query, given, "keep");
	bind_rule(query, given, "keep_days");
	bind_rule(query, given, "keep_monthly");
	bind_rule(query, given, "keep_yearly");
	bind_rule(query, given, "minimum");
}

#define DUE                                                                        \
	"FROM pgmaint.backup_expiry($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY AS e " \
	"(backup_id, storage, key, database, started_at, expires, reason, "            \
	"held_back, bytes, series, nth) "                                              \
	"LEFT JOIN pg_catalog.pg_foreign_server s ON s.srvname = e.storage "           \
	"WHERE e.expires "

/*
 * A finding for each series of backups that are due to expire, but are kept.
 */
static void
note_held_back(PlanContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_options(&query, context->options);
	bind_oid(&query, context->role);
	rows = ledger_query(
		&query,
		"SELECT e.storage::text, e.series, pg_catalog.count(*) AS backups, coalesce(e.held_back, "
		"CASE WHEN s.oid IS NULL THEN 'the storage no longer exists' ELSE "
		"'the role of the run lacks USAGE on the storage' END) AS obstacle " DUE
		"AND (e.held_back IS NOT NULL OR s.oid IS NULL OR NOT "
		"pg_catalog.has_server_privilege($8, s.oid, 'USAGE')) "
		"GROUP BY 1, 2, 4 ORDER BY 1, 2");
	for (uint64 row = 0; row < rows; row++)
	{
		int64 count = named_bigint(row, "backups");

		plan_finding(
			context, "expire_backups", "warning", named_text(row, "storage"),
			psprintf("%lld %s of %s in storage %s %s due to expire, but %s "
					 "kept: %s",
					 (long long) count, count == 1 ? "backup" : "backups",
					 named_text(row, "series"),
					 quote_identifier(named_text(row, "storage")),
					 count == 1 ? "is" : "are", count == 1 ? "is" : "are",
					 named_text(row, "obstacle")),
			NULL);
	}
}

static void
plan_expire_backups(PlanContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	note_held_back(context);
	bind_options(&query, context->options);
	bind_oid(&query, context->role);
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.concat(e.storage, '/', e.key) AS object, e.key, e.reason, "
		"coalesce(e.bytes, -1) AS bytes, pg_catalog.jsonb_build_object("
		"'backup_id', e.backup_id, 'storage', e.storage)::text AS evidence " DUE
		"AND e.held_back IS NULL AND pg_catalog.has_server_privilege($8, s.oid, 'USAGE') "
		"ORDER BY e.started_at, e.backup_id");
	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task = palloc0(sizeof(PlannedTask));

		task->action = "expire_backups";
		task->target = named_text(row, "object");
		task->command = psprintf("remove %s", named_text(row, "key"));
		task->reason = named_text(row, "reason");
		task->bytes = named_bigint(row, "bytes");
		task->evidence = named_text(row, "evidence");
		context->tasks = lappend(context->tasks, task);
	}
}

/*
 * Check that the backup is unchanged, and set it to expiring.  That is
 * committed before any object is removed.
 */
static HoldBack
consider_expiry(TaskContext *context, char **reason)
{
	int64 backup_id = evidence_number(context->task, "backup_id", 0);
	ExpiringBackup backup;
	Storage *storage;
	LedgerScope scope;
	bool found;

	ledger_enter(&scope);
	found = read_expiring_backup(backup_id, &backup);
	ledger_leave(&scope);
	if (!found)
	{
		*reason = "the backup was already removed";
		return HOLD_BACK_SKIP;
	}
	storage = storage_open(backup.storage, STORAGE_WRITE);
	*reason = why_not_ours(storage, backup.identity, context->run_id);
	if (*reason == NULL)
		*reason = why_not_to_remove(storage, &backup);
	if (*reason != NULL)
	{
		*reason = psprintf("%s was not removed: %s", backup.key, *reason);
		return HOLD_BACK_SKIP;
	}
	ledger_enter(&scope);
	note_expiring_backup(&backup);
	ledger_leave(&scope);
	return HOLD_BACK_NOTHING;
}

static void
execute_expiry(TaskContext *context)
{
	int64 backup_id = evidence_number(context->task, "backup_id", 0);
	ExpiringBackup backup;
	Storage *storage;
	LedgerScope scope;
	int64 bytes;
	bool found;

	ledger_enter(&scope);
	found = read_expiring_backup(backup_id, &backup);
	ledger_leave(&scope);
	if (!found)
	{
		context->not_done = "the backup was already removed";
		return;
	}
	storage = storage_open(backup.storage, STORAGE_WRITE);
	context->not_done =
		why_not_ours(storage, backup.identity, context->run_id);
	if (context->not_done != NULL)
		return;
	bytes = remove_backup(storage, &backup);
	ledger_enter(&scope);
	note_expired_backup(&backup);
	ledger_leave(&scope);
	context->result = bytes == 0
						  ? "{\"removed\": false, \"found\": \"the object "
							"was already missing\"}"
						  : psprintf("{\"removed\": true, \"bytes\": %lld}",
									 (long long) bytes);
}

static char *
describe_expiry(const ClaimedTask *task, Jsonb *result)
{
	if (result_flag(result, "removed"))
		return psprintf("removed %s from the storage",
						size_text(result_number(result, "bytes")));
	return result_text(result, "found");
}

DEFINE_ACTION(expire_backups) = {
	.name = "expire_backups",
	.description = "remove backups that no rule keeps; the newest verified "
				   "backup is always kept, and after a failed backup of a "
				   "database all its backups are kept",
	.options = options,
	.uses_storage = true,
	.plan = plan_expire_backups,
	.consider = consider_expiry,
	.execute = execute_expiry,
	.describe = describe_expiry,
};
