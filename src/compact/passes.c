/*-------------------------------------------------------------------------
 *
 * passes.c
 *	  Passes over the end of a table, in batches.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/timestamp.h"

#include "action/blockers.h"
#include "compact/batch.h"
#include "compact/free_space.h"
#include "compact/passes.h"
#include "compact/room.h"
#include "compact/snapshots.h"

/* passes in a round: rows may have been locked */
#define MAX_PASSES 3

/* pages before those whose rows are moved that take no new rows, either */
#define HIDDEN_AHEAD 4096

/* autovacuum gets at the table after this time, in milliseconds */
#define ROUND_MS 600000

/* tries of a batch that other sessions rolled back, in a row */
#define MAX_FAILURES 200

/* of the time that rows have been moved for, VACUUM takes about this share */
#define WINDOW_SHARE_OF_VACUUM 4

/* pauses, in milliseconds */
#define LOCKED_PAUSE 200
#define REPORT_INTERVAL 200

/*
 * Report to pg_stat_activity, from which pgmaint.progress takes it.
 */
static void
report_progress(Work *work)
{
	const Compaction *compaction = &work->compaction;
	TimestampTz now = GetCurrentTimestamp();

	if (now < work->next_report)
		return;
	work->next_report = TimestampTzPlusMilliseconds(now, REPORT_INTERVAL);
	resetStringInfo(&work->activity);
	appendStringInfo(&work->activity,
					 "compact: %u of %u pages at the end of %s emptied",
					 work->first_end - Min(compaction->tail, work->first_end),
					 work->first_end - Min(compaction->floor, work->first_end),
					 work->context->task->target);
	pgstat_report_activity(STATE_RUNNING, work->activity.data);
}

/*
 * Another session has a lock on the table: wait for its end without a lock.
 * If it was VACUUM, hidden pages may have room for other sessions again.
 */
static void
wait_for_lock(Work *work, TimestampTz *locked_since)
{
	TaskContext *context = work->context;
	Compaction *compaction = &work->compaction;
	LedgerScope scope;

	if (*locked_since == 0)
		*locked_since = GetCurrentTimestamp();
	compaction->hidden = compaction->end;
	compaction->rows_passed++;
	if (!TimestampDifferenceExceeds(*locked_since, GetCurrentTimestamp(),
									context->max_wait))
	{
		sleep_for(LOCKED_PAUSE);
		return;
	}
	ledger_begin(&scope, context->extension);
	context->gave_up =
		name_lock_holders(context->task->task_id, ShareUpdateExclusiveLock);
	ledger_commit(&scope);
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("the table was locked for longer than %d ms",
						   context->max_wait)));
}

/*
 * Hide the next pages before rows are moved from them.  Returns false if the
 * table is locked.
 */
static bool
hide_ahead(Work *work)
{
	Compaction *compaction = &work->compaction;
	BlockNumber from;

	if (compaction->tail <= compaction->floor ||
		compaction->tail - 1 >= compaction->hidden)
		return true;
	from = Min(first_page_to_hide(compaction, HIDDEN_AHEAD),
			   compaction->tail - 1);
	if (!hide_free_space(compaction->relation, from, compaction->hidden))
		return false;
	compaction->hidden = from;
	return true;
}

/*
 * Why no more rows should be moved, although the table could become smaller;
 * or NULL.  VACUUM takes part of the window's time, too.
 */
static char *
reason_to_stop(const Work *work)
{
	const TaskContext *context = work->context;
	TimestampTz now = GetCurrentTimestamp();

	if (work->pace.standby_is_late)
		return "a standby does not keep up";
	if (context->window != NULL && context->window_ends != 0 &&
		context->window_ends - now <
			(now - work->pace.began) / WINDOW_SHARE_OF_VACUUM)
		return psprintf("maintenance window \"%s\" is about to close",
						context->window);
	return multixacts_run_high();
}

/*
 * Take rows from the end of the table until the front has no room.
 */
static void
move_pass(Work *work, TimestampTz round_ends)
{
	Compaction *compaction = &work->compaction;
	TimestampTz locked_since = 0;
	int failures = 0;
	BatchEnd end;

	begin_pass(compaction);
	do
	{
		begin_to_count_cost(&work->pace);
		end = move_batch(compaction);
		if (end == BATCH_LOCKED || !hide_ahead(work))
			wait_for_lock(work, &locked_since);
		else
			locked_since = 0;
		failures = end == BATCH_FAILED ? failures + 1 : 0;
		if (failures > MAX_FAILURES)
			ereport(
				ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg(
					 "%d tries in a row to move rows were in conflict with other sessions",
					 failures)));
		if (failures > 0)
			sleep_for(Min(failures, SHORT_PAUSE));
		report_progress(work);
		keep_pace(&work->pace, work->context->extension);
		work->stopped = reason_to_stop(work);
		work->timed_out =
			end != BATCH_LOCKED && GetCurrentTimestamp() >= round_ends;
	} while (end != BATCH_DONE && !work->timed_out && work->stopped == NULL);
}

void
move_rows_of_round(Work *work)
{
	Compaction *compaction = &work->compaction;
	TimestampTz round_ends =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ROUND_MS);

	begin_round(compaction);
	work->pace.batches_took = 0;
	work->pace.batches_waited = 0;
	for (int pass = 1; pass <= MAX_PASSES; pass++)
	{
		move_pass(work, round_ends);
		if (compaction->rows_passed == 0 || compaction->stuck ||
			work->timed_out || work->stopped != NULL)
			return;
		sleep_for(LOCKED_PAUSE);
	}
}
