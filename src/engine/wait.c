/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  run_and_wait: queues a run, shows its progress and waits for its end.
 *
 * It is a procedure, because it must hold no snapshot while it waits: a snapshot
 * would keep VACUUM from removing rows, and REINDEX CONCURRENTLY would wait for
 * it forever.  It commits before every wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "access/htup_details.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/locks.h"
#include "base/wording.h"
#include "engine/launch.h"
#include "engine/run.h"
#include "ledger/runs.h"
#include "ledger/tasks.h"

PG_FUNCTION_INFO_V1(pgmaint_run_and_wait);

/* reading the ledger is cheap; the first reads follow each other closely */
#define FIRST_INTERVAL_MS 10
#define LAST_INTERVAL_MS 200

/* interval between reads, as a part of the time that has passed */
#define INTERVAL_PART 16

/* how long Ctrl-C waits for the end of a cancelled run */
#define CANCEL_WAIT_MS 10000

/* first and last interval between starts of a leader for a queued run */
#define LAUNCH_INTERVAL_MS 1000
#define LAST_LAUNCH_INTERVAL_MS 15000

/* steps with more tasks than this are shown in tenths */
#define MANY_TASKS 100

typedef struct Watch
{
	int64 run_id;
	TimestampTz last_finished; /* the last task that was shown */
	int64 last_task;
	int step; /* the step of the tasks that are shown */
	int64 shown;
	int64 not_shown; /* tasks that were counted, but not shown yet */
	int64 planned;
	int64 steps;
	bool queued_shown;
	TimestampTz last_launch;
	int launch_interval;
	MemoryContext context; /* the state that was last read */
	char *state;
	char *error;
} Watch;

/*
 * Commit, and make sure that no snapshot is left.
 */
static void
release_snapshots(void)
{
	SPI_commit();
	InvalidateCatalogSnapshot();
	Assert(MyProc->xmin == InvalidTransactionId);
}

/*
 * Read the number of tasks of the step, and of steps of the run.
 */
static void
begin_watching_step(Watch *watch, int step)
{
	LedgerQuery query = {0};

	bind_bigint(&query, watch->run_id);
	bind_integer(&query, step);
	(void) ledger_query(&query,
						"SELECT pg_catalog.jsonb_array_length(r.steps)::int8, "
						"(SELECT pg_catalog.count(*) FROM pgmaint.tasks t "
						"WHERE t.run_id = r.run_id AND t.step = $2) "
						"FROM pgmaint.runs r WHERE r.run_id = $1");
	watch->step = step;
	watch->shown = 0;
	watch->not_shown = 0;
	watch->steps = Max(ledger_bigint(0, 1), 1);
	watch->planned = Max(ledger_bigint(0, 2), 1);
}

/*
 * Show a NOTICE for each task that has ended since the last read.  Tasks
 * become visible in the order of finished_at, and steps one after the other.
 * In a step with very many tasks, quick tasks that succeeded are counted, and
 * shown after each tenth of the step.
 */
static void
show_finished_tasks(Watch *watch)
{
	LedgerQuery query = {0};
	SPITupleTable *tasks;
	uint64 rows;

	bind_bigint(&query, watch->run_id);
	bind_datum(&query, TIMESTAMPTZOID,
			   TimestampTzGetDatum(watch->last_finished));
	bind_bigint(&query, watch->last_task);
	rows = ledger_query(
		&query,
		"SELECT f.finished_at, f.task_id, f.step::int8, pg_catalog.concat("
		"CASE WHEN f.action = 'bloat_report' THEN f.action || ' ' || f.target ELSE f.command END, "
		"' ', f.state, CASE WHEN f.started_at IS NOT NULL THEN pg_catalog.format(' after %s s', "
		"pg_catalog.round(pg_catalog.extract('epoch', f.finished_at - f.started_at), 1)) END, "
		"': ' || f.error) AS line, "
		"f.state <> 'succeeded' OR f.finished_at - f.started_at >= '1 second'::pg_catalog.interval AS worth_a_line, "
		"f.action "
		"FROM pgmaint.tasks f WHERE f.run_id = $1 AND (f.finished_at, f.task_id) > ($2, $3) "
		"ORDER BY f.finished_at, f.task_id");
	tasks = SPI_tuptable;
	for (uint64 row = 0; row < rows; row++)
	{
		char *what;
		bool isnull;
		int step;

		SPI_tuptable = tasks;
		step = (int) named_bigint(row, "step");
		if (step != watch->step)
			begin_watching_step(watch, step);
		SPI_tuptable = tasks;
		watch->last_finished =
			DatumGetTimestampTz(named_datum(row, "finished_at", &isnull));
		watch->last_task = named_bigint(row, "task_id");
		watch->shown++;
		what = named_text(row, "line");
		if (watch->planned > MANY_TASKS && !named_boolean(row, "worth_a_line"))
		{
			watch->not_shown++;
			if (watch->shown < watch->planned &&
				watch->shown * 10 / watch->planned ==
					(watch->shown - 1) * 10 / watch->planned)
				continue;
			what =
				psprintf("%lld of %s succeeded", (long long) watch->not_shown,
						 named_text(row, "action"));
			watch->not_shown = 0;
		}
		ereport(NOTICE, (errmsg_internal(
							"[%3d %%] %lld of %lld: %s",
							(int) (100 *
								   (watch->step - 1 +
									(double) watch->shown / watch->planned) /
								   watch->steps),
							(long long) watch->shown,
							(long long) watch->planned, one_line(what))));
	}
}

/*
 * Read the state of the run.
 */
static void
update_watch(Watch *watch)
{
	LedgerScope scope;
	MemoryContext previous;

	MemoryContextReset(watch->context);
	previous = MemoryContextSwitchTo(watch->context);
	ledger_enter(&scope);
	watch->state = read_run_state(watch->run_id, &watch->error);
	if (watch->state != NULL)
		show_finished_tasks(watch);
	ledger_leave(&scope);
	MemoryContextSwitchTo(previous);
}

static bool
is_over(const Watch *watch)
{
	return watch->state == NULL || (strcmp(watch->state, "queued") != 0 &&
									strcmp(watch->state, "running") != 0);
}

/*
 * On a cancel or a timeout: cancel the run, wait a little for its end, and let
 * the interrupt end the procedure.
 */
static void
cancel_and_leave(Watch *watch)
{
	TimestampTz since = GetCurrentTimestamp();
	LedgerScope scope;

	HOLD_CANCEL_INTERRUPTS();
	ledger_enter(&scope);
	add_cancellation(watch->run_id, GetUserNameFromId(GetUserId(), false));
	ledger_leave(&scope);
	launch_leader_at_commit(false);
	release_snapshots();
	/* where no leader can be started, waiting is useless */
	while (!is_over(watch) && !ProcDiePending &&
		   !TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
									   leader_is_alive() ? CANCEL_WAIT_MS
														 : LAUNCH_INTERVAL_MS))
	{
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50,
						 PG_WAIT_EXTENSION);
		update_watch(watch);
		release_snapshots();
	}
	RESUME_CANCEL_INTERRUPTS();
	ereport(NOTICE,
			(errmsg("run %lld %s", (long long) watch->run_id,
					is_over(watch) ? "was cancelled" : "is being cancelled")));
	CHECK_FOR_INTERRUPTS();
	ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
					errmsg("canceling statement due to user request")));
}

/*
 * The reason why a queued run has not begun.
 */
static const char *
describe_wait(void)
{
	if (leader_is_alive())
		return "The run begins when the previous run has ended.";
	if (count_free_units(LEADER_UNITS) < LEADER_UNITS)
		return "The run begins when a run of another database has ended.";
	return "The run begins when a background worker slot is free.";
}

/*
 * Show once that a run is still queued, and start a leader if there is none.
 * The pauses between starts become longer, because a leader may be unable to
 * begin the run.
 */
static void
watch_queued_run(Watch *watch)
{
	if (!watch->queued_shown)
	{
		const char *wait = describe_wait();

		ereport(NOTICE,
				(errmsg("run %lld is queued", (long long) watch->run_id),
				 errdetail("%s", wait)));
		watch->queued_shown = true;
	}
	if (!TimestampDifferenceExceeds(watch->last_launch, GetCurrentTimestamp(),
									watch->launch_interval) ||
		leader_is_alive())
		return;
	watch->last_launch = GetCurrentTimestamp();
	watch->launch_interval =
		Min(2 * watch->launch_interval, LAST_LAUNCH_INTERVAL_MS);
	launch_leader_if_room();
}

/*
 * Wait for the end of the run.  Interrupts are handled between two reads of
 * the ledger, and held off during them.
 */
static void
wait_for_end(Watch *watch)
{
	TimestampTz queued_since = GetCurrentTimestamp();
	int interval = FIRST_INTERVAL_MS;

	watch->last_launch = queued_since;
	watch->launch_interval = LAUNCH_INTERVAL_MS;
	for (;;)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 interval, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		if (QueryCancelPending)
			cancel_and_leave(watch);
		CHECK_FOR_INTERRUPTS();

		HOLD_CANCEL_INTERRUPTS();
		update_watch(watch);
		if (watch->state != NULL && strcmp(watch->state, "queued") == 0 &&
			TimestampDifferenceExceeds(queued_since, GetCurrentTimestamp(),
									   LAUNCH_INTERVAL_MS / 2))
			watch_queued_run(watch);
		release_snapshots();
		RESUME_CANCEL_INTERRUPTS();
		if (is_over(watch))
			return;
		interval = Max(FIRST_INTERVAL_MS,
					   Min(TimestampDifferenceMilliseconds(
							   queued_since, GetCurrentTimestamp()) /
							   INTERVAL_PART,
						   LAST_INTERVAL_MS));
	}
}

/*
 * A run that did not succeed is an error, for scripts to notice.
 */
static void
raise_outcome(const Watch *watch)
{
	if (watch->state == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("run %lld is no longer in the ledger",
							   (long long) watch->run_id)));
	if (strcmp(watch->state, "succeeded") == 0)
		return;
	ereport(
		ERROR,
		(errcode(strcmp(watch->state, "cancelled") == 0
					 ? ERRCODE_QUERY_CANCELED
					 : ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
		 errmsg("run %lld %s: %s", (long long) watch->run_id,
				strcmp(watch->state, "failed") == 0
					? "failed"
					: psprintf("was %s", watch->state),
				watch->error == NULL ? "no reason is known"
									 : one_line(watch->error)),
		 errhint("To read the report of the run: SELECT pgmaint.report(%lld).",
				 (long long) watch->run_id)));
}

/*
 * CALL pgmaint.run_and_wait(plan text, options jsonb, INOUT run_id bigint)
 */
Datum
pgmaint_run_and_wait(PG_FUNCTION_ARGS)
{
	CallContext *call = castNode(CallContext, fcinfo->context);
	MemoryContext previous;
	Watch watch = {0};
	char *plan;
	Jsonb *options = NULL;
	TupleDesc descriptor;
	Datum value;
	bool isnull = false;

	if (call->atomic)
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg(
				 "pgmaint.run_and_wait() cannot be executed in a transaction block"),
			 errdetail(
				 "The procedure commits while it waits, because a snapshot would hold back VACUUM."),
			 errhint(
				 "Execute CALL outside of transaction blocks and functions, or queue the run with SELECT pgmaint.run(...), which does not wait.")));
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the plan must not be null")));

	/* memory that is needed after a commit */
	previous = MemoryContextSwitchTo(PortalContext);
	plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		options = PG_GETARG_JSONB_P_COPY(1);
	MemoryContextSwitchTo(previous);

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	watch.run_id = queue_run("pgmaint.run_and_wait()", plan, options);
	watch.last_finished = DT_NOBEGIN;
	watch.context = AllocSetContextCreate(PortalContext, "pgmaint look",
										  ALLOCSET_DEFAULT_SIZES);
	release_snapshots();
	wait_for_end(&watch);
	SPI_finish();
	raise_outcome(&watch);

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	value = Int64GetDatum(watch.run_id);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), &value, &isnull)));
}
