/*-------------------------------------------------------------------------
 *
 * storage_review.c
 *	  Tasks of the action "validate" that check storages.
 *
 * A task lists one storage, compares the list with the ledger, and reads some
 * of the archives.  The results are in pgmaint.storage_checks, for
 * pgmaint.validate(), which accesses no storage itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "action/evidence.h"
#include "action/selection.h"
#include "base/error_text.h"
#include "base/subtransaction.h"
#include "review/storage_findings.h"
#include "review/storage_review.h"

/*
 * Plan one task for each storage that the ledger uses.
 */
void
plan_storage_reviews(PlanContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_oid(&query, context->role);
	rows = ledger_query(
		&query,
		"SELECT u.storage::text, pg_catalog.has_server_privilege($1, s.oid, 'USAGE') AS may_use, "
		"pg_catalog.format('the ledger has %s archives and %s backups in the storage', u.archives, u.backups) AS reason "
		"FROM pgmaint_internal.storages_in_use u "
		"JOIN pg_catalog.pg_foreign_server s ON s.srvname = u.storage "
		"ORDER BY u.storage");
	for (uint64 row = 0; row < rows; row++)
	{
		char *storage = named_text(row, "storage");
		PlannedTask *task;
		StringInfoData evidence;

		if (!named_boolean(row, "may_use"))
		{
			plan_finding(
				context, "privileges", "info", storage,
				psprintf(
					"storage %s is not compared with the ledger: the role of the run has no USAGE privilege on the storage",
					quote_identifier(storage)),
				NULL);
			continue;
		}
		task = palloc0(sizeof(PlannedTask));
		initStringInfo(&evidence);
		appendStringInfoString(&evidence, "{\"storage\": ");
		escape_json(&evidence, storage);
		appendStringInfoChar(&evidence, '}');
		task->action = "validate";
		task->target = psprintf("storage %s", quote_identifier(storage));
		task->command = psprintf("compare %s with the ledger", task->target);
		task->reason = named_text(row, "reason");
		task->evidence = evidence.data;
		task->bytes = -1;
		context->tasks = lappend(context->tasks, task);
	}
}

char *
storage_to_review(const ClaimedTask *task)
{
	return evidence_text(task, "storage");
}

static int64
foreign_objects(const UnknownObjects *unknown)
{
	return unknown->foreign + unknown->anonymous;
}

static void
record_comparison(const StorageReview *review, const char *detail)
{
	const StorageComparison *comparison = &review->comparison;
	LedgerQuery query = {0};

	bind_text(&query, review->storage);
	bind_bigint(&query, review->listing->objects);
	bind_bigint(&query, comparison->known);
	bind_bigint(&query, comparison->missing);
	bind_bigint(&query, comparison->differing);
	bind_bigint(&query, list_length(review->unknown.own));
	bind_bigint(&query, foreign_objects(&review->unknown));
	bind_bigint(&query, review->unknown.incomplete);
	bind_text(&query, detail);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.storage_checks AS c (storage, checked_at, objects, known, missing, "
		"differing, unknown, foreign_objects, incomplete, detail) "
		"VALUES ($1::pg_catalog.name, pg_catalog.clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, "
		"$9::pg_catalog.jsonb) ON CONFLICT (storage) DO UPDATE SET identity = excluded.identity, "
		"checked_at = excluded.checked_at, objects = excluded.objects, known = excluded.known, "
		"missing = excluded.missing, differing = excluded.differing, unknown = excluded.unknown, "
		"foreign_objects = excluded.foreign_objects, incomplete = excluded.incomplete, "
		"detail = excluded.detail, error = NULL, failed_at = NULL");
}

/*
 * Record an error; the results of the last comparison stay, with their age.
 */
static void
record_failure(const char *storage, const char *error)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, error);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.storage_checks AS c (storage, error, failed_at) "
		"VALUES ($1::pg_catalog.name, $2, pg_catalog.clock_timestamp()) "
		"ON CONFLICT (storage) DO UPDATE SET error = excluded.error, failed_at = excluded.failed_at");
}

/*
 * List the storage once, and compare the list with the ledger.
 */
static void
compare_storage(void *argument)
{
	StorageReview *review = argument;
	TaskContext *context = review->context;
	int64 check_days = option_integer(context->action->options,
									  context->options, "archive_check_days");
	Storage *storage = storage_open(review->storage, STORAGE_READ);
	LedgerScope scope;
	char *detail;

	review->is_open = true;
	review->listing = list_storage(storage);
	compare_with_ledger(storage, review->listing, &review->comparison);
	find_unknown_objects(storage, review->listing, &review->unknown);
	if (check_days > 0)
		choose_archives(&review->archives, review->listing, check_days);
	end_listing(review->listing);
	detail = describe_comparison(review);
	ledger_enter(&scope);
	record_comparison(review, detail);
	ledger_leave(&scope);
	report_comparison(review, detail);
}

/*
 * A storage that the role may not use is skipped.  Any other error of the
 * comparison makes the task fail.
 */
static void
end_without_comparison(const StorageReview *review, const ErrorData *error)
{
	TaskContext *context = review->context;
	char *reason = error_text(error);
	LedgerScope scope;

	if (!review->is_open &&
		error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
	{
		context->not_done = reason;
		return;
	}
	context->failure = reason;
	context->failure_state = error->sqlerrcode;
	ledger_enter(&scope);
	record_failure(review->storage, reason);
	ledger_leave(&scope);
}

void
review_storage(TaskContext *context, const char *storage)
{
	MemoryContext caller = CurrentMemoryContext;
	StorageReview review = {.context = context,
							.storage = storage,
							.archives = {.storage = storage}};
	ErrorData *error;

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, context->task->command);
	StartTransactionCommand();
	MemoryContextSwitchTo(caller);
	error = try_unless_stopped(compare_storage, &review);
	if (error != NULL)
		end_without_comparison(&review, error);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	if (error == NULL)
	{
		review_archives(context, &review.archives);
		context->result = psprintf(
			"{\"objects\": %lld, \"known\": %lld, \"missing\": %lld, "
			"\"differing\": %lld, \"unknown\": %d, \"foreign\": %lld, "
			"\"incomplete\": %lld, \"archives_read\": %lld, "
			"\"bytes_read\": %lld}",
			(long long) review.listing->objects,
			(long long) review.comparison.known,
			(long long) review.comparison.missing,
			(long long) review.comparison.differing,
			list_length(review.unknown.own),
			(long long) foreign_objects(&review.unknown),
			(long long) review.unknown.incomplete,
			(long long) review.archives.read,
			(long long) review.archives.bytes);
	}
	(void) pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}
