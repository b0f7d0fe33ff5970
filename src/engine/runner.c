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
#include "utils/guc.h"
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
#include "ledger/queue.h"
#include "ledger/statements.h"
#include "ledger/tasks.h"
#include "objects/storage_names.h"

/* the extension that owns the ledger */
static Oid extension;

/* the current step; 0: none yet */
static int step_number;

typedef enum StepEnd
{
	STEP_DONE,
	STEP_CANCELLED,
	STEP_SENT_BACK /* the run is queued again */
} StepEnd;

/*
 * Update the ledger with the new names of renamed storages.
 */
static void
follow_names(void)
{
	LedgerScope scope;

	ledger_begin(&scope, extension);
	follow_storage_names(true);
	ledger_commit(&scope);
}

/*
 * Let an action plan its tasks, and add them to the ledger.
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
	add_tasks(run->run_id, number, context.tasks);
	foreach (cell, context.findings)
	{
		PlannedFinding *finding = lfirst(cell);

		add_finding(run->run_id, number, 0, finding->check_id,
					finding->severity, finding->object, finding->message,
					finding->detail);
	}
	foreach (cell, context.failures)
		add_run_failure(run->run_id, lfirst(cell));
	ledger_commit(&scope);
}

/*
 * Describe for a person which work of the run is missing: steps that could not
 * be planned, and tasks that did not succeed.  NULL if there is none.
 */
static char *
describe_what_is_missing(const Run *run)
{
	char *unfinished = describe_unfinished_work(run->run_id);
	char *failures = NULL;

	(void) read_run_state(run->run_id, &failures);
	if (failures == NULL)
		return unfinished;
	if (unfinished == NULL)
		return failures;
	return psprintf("%s; %s", failures, unfinished);
}

/*
 * End a run, in the state that its tasks determine.
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
 * Begin a run, unless it ends before its first task.  A run that was queued
 * again continues where it was.
 */
static bool
begin_or_end_run(const Run *run)
{
	LedgerScope scope;
	bool begun = false;

	ledger_begin(&scope, extension);
	if (cancellation_requested(run->run_id))
		end_cancelled_run(run->run_id, run->current_step > 0);
	else if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(run->role)))
	{
		char *error =
			psprintf("role \"%s\" was dropped after the run was queued",
					 run->requested_by);

		(void) end_pending_tasks(run->run_id, "cancelled", error);
		end_run(run->run_id, "failed", error);
		add_failed_run(run->run_id, 0, error);
	}
	else
	{
		begun = true;
		if (run->current_step > 0)
			crew_number_workers_from(last_worker_of(run->run_id));
		else
		{
			note_doubt(run->run_id);
			note_missed_schedules(run->run_id);
			/* to compare with, in case the run makes statements slower */
			(void) snapshot_statements(run->run_id, "10 minutes");
		}
	}
	ledger_commit(&scope);
	return begun;
}

/*
 * Queue the run again: it cannot continue, and its leader would occupy a slot
 * while it waits.
 */
static void
send_back(const Run *run, int number)
{
	send_run_back(
		run->run_id, number,
		psprintf(
			"no background worker slot was free for %d s (max_worker_processes = %s): the run was queued again",
			run->worker_timeout,
			GetConfigOption("max_worker_processes", false, false)));
}

/*
 * Execute one step: keep workers running until no task is left.
 */
static StepEnd
carry_out_step(const Run *run, int number)
{
	MemoryContext previous = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(previous, "pgmaint look",
												  ALLOCSET_DEFAULT_SIZES);
	bool cancelled = false;
	bool signalled = false;
	CrewState state = CREW_AT_WORK;

	pgstat_report_activity(
		STATE_RUNNING, psprintf("pgmaint run %lld, %s: step %d",
								(long long) run->run_id, run->plan, number));
	crew_begin(run, number, extension);
	for (;;)
	{
		LedgerScope scope;

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
		state = crew_look_after(cancelled);
		if (state == CREW_WITHOUT_SLOT)
			send_back(run, number);
		ledger_commit(&scope);
		if (state != CREW_AT_WORK)
			break;
		if (cancelled)
			crew_interrupt();
		crew_wait();
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	if (state == CREW_WITHOUT_SLOT)
		return STEP_SENT_BACK;
	return cancelled ? STEP_CANCELLED : STEP_DONE;
}

/*
 * Execute a run from its first step to its last, or from the step in which it
 * was queued again.  Returns false if it was queued again now.
 */
bool
carry_out_run(const Run *run, Oid of_extension)
{
	StepEnd end = STEP_DONE;
	ListCell *cell;

	extension = of_extension;
	step_number = 0;
	pgmaint_clock_offset = run->clock_offset;
	if (!begin_or_end_run(run))
		return true;
	follow_names();

	foreach (cell, parse_steps(run->plan, run->steps))
	{
		if (++step_number < run->current_step)
			continue;
		/* the tasks of a step that has begun exist already */
		if (step_number > run->current_step)
			plan_and_record(run, step_number, lfirst(cell));
		end = carry_out_step(run, step_number);
		if (end == STEP_SENT_BACK)
			return false;
		if (end == STEP_CANCELLED)
			break;
	}
	finish_run(run, end == STEP_CANCELLED);
	return true;
}

/*
 * Current step, for error reporting.
 */
int
current_step_number(void)
{
	return step_number;
}
