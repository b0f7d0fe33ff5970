/*-------------------------------------------------------------------------
 *
 * archive_review.c
 *	  Reads archives in turn, to detect damage.
 *
 * A run reads the archives that were read longest ago, up to a budget of
 * bytes: all bytes, times the share that the time since the last run has in
 * archive_check_days.  The archive that exceeds the budget is read too, so
 * every run reads at least one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/error_text.h"
#include "base/subtransaction.h"
#include "retention/verify.h"
#include "review/archive_review.h"

/* number of damaged archives with a finding each */
#define NAMED_ARCHIVES 100

/* one archive, while it is read */
typedef struct ArchiveTurn
{
	int64 archive_id;
	Archive archive;
	char *damage;
} ArchiveTurn;

/*
 * Archives that are not in the storage are reported by the comparison, and
 * cannot be read.
 */
void
choose_archives(ArchiveReview *review, StorageListing *listing,
				int64 check_days)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;

	review->due_at = GetCurrentTimestamp();
	bind_text(&query, review->storage);
	bind_bigint(&query, check_days);
	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(review->due_at));
	ledger_enter(&scope);
	show_listing(listing);
	rows = ledger_query(
		&query,
		"WITH share AS MATERIALIZED ("
		"SELECT least(greatest(pg_catalog.extract('epoch', $3 - coalesce(pg_catalog.max(c.archives_read_at), "
		"$3 - pg_catalog.make_interval(days => 1))) / 86400 / $2, 0), 1) AS of_all "
		"FROM pgmaint.storage_checks c WHERE c.storage = $1::pg_catalog.name) "
		"SELECT q.archive_id FROM ("
		"SELECT a.archive_id, a.bytes, pg_catalog.row_number() OVER in_turn AS nth, "
		"pg_catalog.sum(a.bytes) OVER in_turn - a.bytes AS before, pg_catalog.sum(a.bytes) OVER () AS total "
		"FROM pgmaint.archives a JOIN pgmaint_listing l ON l.key = a.key "
		"WHERE a.storage = $1::pg_catalog.name "
		"AND a.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i) "
		"WINDOW in_turn AS (ORDER BY coalesce(a.checked_at, a.created_at), a.archive_id)) q "
		"CROSS JOIN share s WHERE q.before < q.total * s.of_all ORDER BY q.nth");
	for (uint64 row = 0; row < rows; row++)
	{
		int64 *archive_id = palloc(sizeof(int64));

		*archive_id = ledger_bigint(row, 1);
		review->due = lappend(review->due, archive_id);
	}
	ledger_leave(&scope);
}

static void
read_in_turn(void *argument)
{
	ArchiveTurn *turn = argument;
	ArchiveContent content;

	read_archive(turn->archive_id, &turn->archive);
	InvalidateCatalogSnapshot();
	read_content(&turn->archive, &content);
	turn->damage = describe_damage(&turn->archive, &content);
}

/*
 * Is the error about the object itself?  Other errors do not tell whether the
 * archive is damaged, and may prevent the check of others: a storage that does
 * not answer, a lock timeout, missing rights.
 */
static bool
is_about_object(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_DATA_CORRUPTED:
		case ERRCODE_IO_ERROR:
		case ERRCODE_OBJECT_IN_USE:
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_UNDEFINED_FILE:
		case ERRCODE_WRONG_OBJECT_TYPE:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return true;
		default:
			return false;
	}
}

/*
 * Record the result for one archive.
 */
static void
note_turn(TaskContext *context, const ArchiveTurn *turn,
		  const ErrorData *error)
{
	const Archive *archive = &turn->archive;
	const char *result = ARCHIVE_WHOLE;
	char *reason = turn->damage;
	LedgerScope scope;
	bool changed;

	if (error != NULL && (error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT ||
						  error->sqlerrcode == ERRCODE_UNDEFINED_FILE))
		return;
	if (error != NULL)
		reason = error_text(error);
	if (error != NULL &&
		(error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE ||
		 error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED))
		result = ARCHIVE_UNREADABLE;
	else if (reason != NULL)
		result = ARCHIVE_DAMAGED;
	ledger_enter(&scope);
	changed = note_archive_check(turn->archive_id, result, reason);
	ledger_leave(&scope);
	if (changed && strcmp(result, ARCHIVE_UNREADABLE) == 0)
		(void) note_finding(
			&context->findings, "archive", "info",
			psprintf("%s/%s", archive->storage, archive->key),
			psprintf(
				"archive %lld, object %s in storage %s, could not be read and was not checked: %s",
				(long long) turn->archive_id, archive->key,
				quote_identifier(archive->storage), reason));
}

/*
 * Read one archive in a transaction of its own; false if the storage can no
 * longer be read.
 */
static bool
read_archive_in_turn(TaskContext *context, ArchiveReview *review,
					 int64 archive_id)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint archive", ALLOCSET_DEFAULT_SIZES);
	ArchiveTurn turn = {.archive_id = archive_id};
	ErrorData *error;
	bool goes_on;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(scratch);
	error = try_unless_stopped(read_in_turn, &turn);
	MemoryContextSwitchTo(caller);
	goes_on = error == NULL || is_about_object(error);
	if (goes_on)
	{
		note_turn(context, &turn, error);
		if (error == NULL)
		{
			review->read++;
			review->bytes += turn.archive.bytes;
		}
	}
	else
	{
		context->failure = psprintf("archive %lld could not be read: %s",
									(long long) archive_id, error_text(error));
		context->failure_state = error->sqlerrcode;
		(void) note_finding(&context->findings, "failed", "warning",
							pstrdup(context->task->target),
							psprintf("%s failed: %s", context->task->command,
									 context->failure));
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return goes_on;
}

/*
 * Every run reports all damaged archives, until each was found whole.
 */
static void
report_damaged(TaskContext *context, const char *storage)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_text(&query, storage);
	bind_integer(&query, NAMED_ARCHIVES);
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.concat(a.storage, '/', a.key), "
		"pg_catalog.format('archive %s of %s is damaged: object %s in storage %I: %s; "
		"to read the archive again: SELECT * FROM pgmaint.verify_archive(%s)', "
		"a.archive_id, a.relation, a.key, a.storage, a.check_error, a.archive_id) "
		"FROM pgmaint.archives a "
		"WHERE a.storage = $1::pg_catalog.name AND a.check_result = '" ARCHIVE_DAMAGED
		"' AND a.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i) "
		"ORDER BY a.archive_id LIMIT $2");
	for (uint64 row = 0; row < rows; row++)
		(void) note_finding(&context->findings, "archive", "critical",
							ledger_text(row, 1), ledger_text(row, 2));
}

/*
 * The budget counts as used once all archives that were due were tried.
 */
static void
note_budget(const ArchiveReview *review)
{
	LedgerQuery query = {0};

	bind_text(&query, review->storage);
	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(review->due_at));
	(void) ledger_query(
		&query, "UPDATE pgmaint.storage_checks SET archives_read_at = $2 "
				"WHERE storage = $1::pg_catalog.name");
}

void
review_archives(TaskContext *context, ArchiveReview *review)
{
	LedgerScope scope;
	ListCell *cell;
	bool goes_on = true;

	foreach (cell, review->due)
	{
		CHECK_FOR_INTERRUPTS();
		pgstat_report_activity(
			STATE_RUNNING,
			psprintf("validate: reading archive %lld of %d in storage %s",
					 (long long) review->read + 1, list_length(review->due),
					 quote_identifier(review->storage)));
		goes_on =
			read_archive_in_turn(context, review, *(int64 *) lfirst(cell));
		if (!goes_on)
			break;
	}
	ledger_begin(&scope, context->extension);
	if (goes_on && review->due_at != 0)
		note_budget(review);
	report_damaged(context, review->storage);
	ledger_commit(&scope);
}
