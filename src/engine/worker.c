/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A task worker: executes tasks of one step, one after the other.
 *
 * The process is connected as the role of the run, and its commands have that
 * role's rights and no more.  An ERROR ends a task, never the run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "action/step_settings.h"
#include "base/compat.h"
#include "base/locks.h"
#include "base/settings.h"
#include "engine/board.h"
#include "engine/launch.h"
#include "engine/plan.h"
#include "engine/task.h"
#include "ledger/findings.h"
#include "ledger/runs.h"

PGDLLEXPORT void pgmaint_task_worker_main(Datum main_arg);

static TaskWorkerArguments arguments;
static Run run;
static const Step *step;

/* the tasks of the step that this worker has read */
static UnfinishedTasks unfinished;

/*
 * Read the arguments from the run and the step.
 */
static void
read_orders(void)
{
	LedgerScope scope;
	bool found;

	ledger_begin(&scope, arguments.extension);
	found = read_run(arguments.run_id, &run);
	ledger_commit(&scope);
	if (!found)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("run %lld does not exist",
							   (long long) arguments.run_id)));
	pgmaint_clock_offset = run.clock_offset;
	step = list_nth(parse_steps(run.plan, run.steps), arguments.step - 1);
}

/*
 * Set the session's settings: known values, then those of the step.
 */
static void
apply_session_settings(void)
{
	MemoryContext context = CurrentMemoryContext;

	pin_session_settings();
	SetConfigOption("lock_timeout", psprintf("%d", run.lock_timeout),
					PGC_USERSET, PGC_S_SESSION);
	StartTransactionCommand();
	apply_settings(step->options);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/*
 * The pause before the next attempt: 1, 2, 4 ... 60 seconds for a lock; if the
 * action has its own delay, that, twice that ... up to an hour.
 */
static int64
pause_before_attempt(int attempts, const Ending *ending)
{
	int64 delay = ending->retry_delay > 0 ? ending->retry_delay : 1000;
	int64 longest = ending->retry_delay > 0 ? 60 * 60 * 1000 : 60 * 1000;

	return Min(Max(longest, delay), delay << Min(attempts - 1, 10));
}

/*
 * Record how a task ended.  The caller is inside a ledger scope.
 */
static void
record_ending(const ClaimedTask *task, const Ending *ending)
{
	ListCell *cell;
	int retries = ending->retries < 0 ? run.lock_retries : ending->retries;

	if (ending->retry && task->attempt <= retries)
	{
		remember_postponed_task(
			&unfinished, task->task_id,
			postpone_task(task->task_id, &ending->outcome,
						  pause_before_attempt(task->attempt, ending)));
		return;
	}
	finish_task(task->task_id, &ending->outcome);
	if (strcmp(ending->outcome.state, "skipped") == 0 &&
		!ending->accounted_for)
		add_finding(arguments.run_id, arguments.step, task->task_id, "skipped",
					"warning", task->target,
					psprintf("%s was skipped: %s", task->command,
							 ending->outcome.error),
					NULL);
	if (strcmp(ending->outcome.state, "failed") == 0 &&
		ending->findings == NIL)
		add_finding(
			arguments.run_id, arguments.step, task->task_id, "failed",
			"warning", task->target,
			psprintf("%s failed: %s", task->command, ending->outcome.error),
			NULL);
	foreach (cell, ending->findings)
	{
		PlannedFinding *finding = lfirst(cell);

		add_finding(arguments.run_id, arguments.step, task->task_id,
					finding->check_id, finding->severity, finding->object,
					finding->message, finding->detail);
	}
}

/*
 * Claim a task; false if none is available now.  Then milliseconds is set to
 * the time until the next try; negative: never.
 */
static bool
claim_next(ClaimedTask *next, int64 *milliseconds)
{
	const ClaimedTasks *others;
	int64 task_id;

	lock_in_transaction(LOCK_TASKS, true);
	others = tasks_of_others();
	task_id = find_claimable_task(&unfinished, others);
	if (task_id != 0 && claim_task(task_id, arguments.worker, next))
	{
		forget_task(&unfinished, task_id);
		note_claim(task_id);
		return true;
	}
	note_claim(0);
	if (!cancellation_requested(arguments.run_id))
		*milliseconds = time_to_next_task(&unfinished, others);
	if (*milliseconds >= 0)
		*milliseconds = Max(*milliseconds, 20);
	return false;
}

/*
 * Record how the last task ended, if there was one, and claim the next, in one
 * transaction.  If none is available now, milliseconds is set to the time
 * until the next try; negative: never.
 *
 * A cancel that arrives in this function is for the next task, or for none.
 */
static bool
next_task(const ClaimedTask *last, const Ending *ending, ClaimedTask *next,
		  int64 *milliseconds)
{
	LedgerScope scope;
	bool claimed = false;

	HOLD_CANCEL_INTERRUPTS();
	ledger_begin(&scope, arguments.extension);
	if (last != NULL)
		record_ending(last, ending);
	*milliseconds = -1;
	/* a worker must end with its leader, which records interruptions */
	if (leader_is_alive())
		claimed = claim_next(next, milliseconds);
	if (step->action->repeatable)
		ledger_commit_without_waiting(&scope);
	else
		ledger_commit(&scope);
	note_commit();
	RESUME_CANCEL_INTERRUPTS();
	return claimed;
}

/*
 * Claim and execute tasks until there are none.
 */
static void
work(void)
{
	MemoryContext contexts[2];
	ClaimedTask tasks[2];
	Ending ending;
	ClaimedTask *last = NULL;

	/* a task's memory is needed until its end is recorded */
	for (int i = 0; i < 2; i++)
		contexts[i] = AllocSetContextCreate(TopMemoryContext, "pgmaint task",
											ALLOCSET_DEFAULT_SIZES);
	for (int turn = 0;; turn = 1 - turn)
	{
		int64 milliseconds;
		bool claimed;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextReset(contexts[turn]);
		MemoryContextSwitchTo(contexts[turn]);
		claimed = next_task(last, &ending, &tasks[turn], &milliseconds);
		last = NULL;
		if (claimed)
		{
			TaskContext context = {0};

			context.run_id = arguments.run_id;
			context.extension = arguments.extension;
			context.lock_timeout = run.lock_timeout;
			context.lock_retries = run.lock_retries;
			context.max_wait = run.max_wait;
			context.action = step->action;
			context.options = step->options;
			context.task = &tasks[turn];
			carry_out_task(&context, &ending);
			last = &tasks[turn];
			continue;
		}
		if (milliseconds < 0)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(milliseconds, 1000), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		/* a cancel while no task runs has no effect */
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Entry point of the background worker.
 */
void
pgmaint_task_worker_main(Datum main_arg)
{
	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(
		arguments.database, arguments.role, WORKER_BYPASS_LOGIN);

	MemoryContextSwitchTo(TopMemoryContext);
	pin_session_settings();
	if (!attach_to_board(arguments.board, arguments.place))
		proc_exit(0);
	read_orders();
	follow_step(&unfinished, arguments.run_id, arguments.step);
	unfinished.position = arguments.position;
	apply_session_settings();
	work();
	proc_exit(0);
}
