/*-------------------------------------------------------------------------
 *
 * runner.c
 *	  One run, from its first step to its last; part of the leader.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/settings.h"
#include "engine/crew.h"
#include "engine/disruptive.h"
#include "engine/missed.h"
#include "engine/plan.h"
#include "engine/predict.h"
#include "engine/runner.h"
#include "ledger/findings.h"
#include "ledger/identity.h"
#include "ledger/statements.h"

/* the extension that the ledger belongs to */
static Oid extension;

/* what could not be planned in the run's steps so far */
static List *failures;

/* the step that is being planned or carried out; 0: none yet */
static int step_number;

/*
 * Ask an action for its tasks and write them down.
 */
static void
plan_and_record(const Run *run, int number, const Step *step)
{
	LedgerScope scope;
	PlanContext context = {0};
	ListCell *cell;

	context.role = run->role;
	context.run_id = run->run_id;
	context.plan = run->plan;
	context.extension = extension;
	ledger_begin(&scope, extension);
	begin_step(run->run_id, number);
	if (step->action->survey != NULL)
	{
		ledger_commit(&scope);
		survey_step(&context, step);
		ledger_begin(&scope, extension);
	}
	plan_step(&context, step);
	predict_and_order(&context, step);
	hold_back_disruptive_tasks(&context, step);
	foreach (cell, context.tasks)
	{
		CHECK_FOR_INTERRUPTS();
		add_task(run->run_id, number, lfirst(cell));
	}
	foreach (cell, context.findings)
	{
		PlannedFinding *finding = lfirst(cell);

		add_finding(run->run_id, number, 0, finding->check_id,
					finding->severity, finding->object, finding->message,
					finding->detail);
	}
	failures = list_concat(failures, context.failures);
	ledger_commit(&scope);
}

/*
 * What the run has not done, for a person: work that could not be planned, and
 * tasks that did not succeed.  NULL if there is neither.
 */
static char *
describe_what_is_missing(const Run *run)
{
	char *unfinished = describe_unfinished_work(run->run_id);
	StringInfoData text;
	ListCell *cell;

	if (failures == NIL)
		return unfinished;
	initStringInfo(&text);
	foreach (cell, failures)
		appendStringInfo(&text, "%s%s", text.len > 0 ? "; " : "",
						 (char *) lfirst(cell));
	if (unfinished != NULL)
		appendStringInfo(&text, "; %s", unfinished);
	return text.data;
}

/*
 * Bring a run to its end, and say which.
 */
static void
finish_run(const Run *run, bool cancelled)
{
	LedgerScope scope;

	ledger_begin(&scope, extension);
	if (cancelled)
		end_run(run->run_id, "cancelled", "the run was cancelled");
	else
	{
		char *missing = describe_what_is_missing(run);

		end_run(run->run_id, missing == NULL ? "succeeded" : "failed",
				missing);
	}
	if (maintained_tables(run->run_id))
		(void) snapshot_statements(run->run_id, "0");
	forget_old_runs();
	ledger_commit(&scope);
}

/*
 * Begin a run, unless it is over before its first task.
 */
static bool
begin_or_end_run(const Run *run)
{
	LedgerScope scope;
	bool begun = false;

	ledger_begin(&scope, extension);
	if (cancellation_requested(run->run_id))
		end_run(run->run_id, "cancelled",
				"the run was cancelled before it began");
	else if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(run->role)))
	{
		char *error =
			psprintf("role \"%s\" was dropped after the run was queued",
					 run->requested_by);

		end_run(run->run_id, "failed", error);
		add_failed_run(run->run_id, 0, error);
	}
	else
	{
		begin_run(run->run_id);
		note_doubt(run->run_id);
		note_missed_schedules(run->run_id);
		/* to compare with, if the run should make anything slower */
		(void) snapshot_statements(run->run_id, "10 minutes");
		begun = true;
	}
	ledger_commit(&scope);
	return begun;
}

/*
 * Carry out one step: keep workers going until no task is left.  Returns false
 * when the run was cancelled.
 */
static bool
carry_out_step(const Run *run, int number)
{
	MemoryContext previous = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(previous, "pgmaint look",
												  ALLOCSET_DEFAULT_SIZES);
	bool cancelled = false;
	bool signalled = false;

	pgstat_report_activity(
		STATE_RUNNING, psprintf("pgmaint run %lld, %s: step %d",
								(long long) run->run_id, run->plan, number));
	crew_begin(run, number, extension);
	for (;;)
	{
		LedgerScope scope;
		bool working;

		/* pg_cancel_backend() on the leader is meant for the run */
		if (QueryCancelPending && !ShutdownRequestPending)
		{
			QueryCancelPending = false;
			signalled = true;
		}
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		ledger_begin(&scope, extension);
		end_cancelled_queued_runs();
		if (!cancelled && (signalled || cancellation_requested(run->run_id)))
		{
			cancelled = true;
			(void) end_pending_tasks(
				run->run_id, "cancelled",
				"the run was cancelled before this task began");
		}
		working = crew_look_after(cancelled);
		ledger_commit(&scope);
		if (!working)
			break;
		if (cancelled)
			crew_interrupt();
		crew_wait();
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	return !cancelled;
}

/*
 * One run from its first step to its last.
 */
void
carry_out_run(const Run *run, Oid of_extension)
{
	List *steps;
	ListCell *cell;
	bool cancelled = false;

	extension = of_extension;
	step_number = 0;
	failures = NIL;
	pgmaint_clock_offset = run->clock_offset;
	if (!begin_or_end_run(run))
		return;

	steps = parse_steps(run->plan, run->steps);
	foreach (cell, steps)
	{
		plan_and_record(run, ++step_number, lfirst(cell));
		cancelled = !carry_out_step(run, step_number);
		if (cancelled)
			break;
	}
	finish_run(run, cancelled);
}

/*
 * Where the run was, for who writes down that it ended with an ERROR.
 */
int
step_at_work(void)
{
	return step_number;
}
