/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A task worker: claims the tasks of one step, one after the other.
 *
 * The process is connected as the role that asked for the run, and its
 * commands have that role's rights and no more.  An ERROR ends a task, never
 * the run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "actions/blockers.h"
#include "base/compat.h"
#include "base/locks.h"
#include "base/settings.h"
#include "engine/launch.h"
#include "engine/plan.h"
#include "exec/toplevel.h"
#include "ledger/findings.h"
#include "ledger/runs.h"

PGDLLEXPORT void pgmaint_task_worker_main(Datum main_arg);

static TaskWorkerArguments arguments;
static Run run;
static const Step *step;

/* how a task ended, and what has to be said about it */
typedef struct Ending
{
	TaskOutcome outcome;
	bool retry; /* it gave way: try again, unless that has been done enough */
	List *findings;
} Ending;

/*
 * Read what the run and the step want of this worker.
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
	step = list_nth(parse_steps(run.plan, run.steps), arguments.step - 1);
}

/*
 * Bring the session to its settings: known ones, then those of the step.
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
 * Is the object still what the task was planned for?  Takes AccessShareLock
 * until the end of the transaction.
 */
static bool
target_is_there(const ClaimedTask *task, char **reason)
{
	Relation relation = try_relation_open(task->relation, AccessShareLock);
	char *name;

	if (relation == NULL)
	{
		*reason = psprintf("%s was dropped after the task had been planned",
						   task->target);
		return false;
	}
	name = quote_qualified_identifier(
		get_namespace_name(RelationGetNamespace(relation)),
		RelationGetRelationName(relation));
	relation_close(relation, NoLock);
	if (strcmp(name, task->target) == 0)
		return true;
	*reason = psprintf("%s was renamed to %s after the task had been planned",
					   task->target, name);
	return false;
}

/*
 * What a table or an index takes on disk, TOAST and maps included.
 */
static int64
bytes_on_disk(Oid relation)
{
	return DatumGetInt64(
		DirectFunctionCall1(pg_table_size, ObjectIdGetDatum(relation)));
}

/*
 * Look at the object before work begins: is it still there, does it still make
 * sense?  Returns false when the task has ended here.
 */
static bool
prepare_task(TaskContext *context, Ending *ending)
{
	const ClaimedTask *task = context->task;
	HoldBack hold_back = HOLD_BACK_NOTHING;
	char *reason = NULL;
	MemoryContext previous = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(previous);
	if (!target_is_there(task, &reason))
		hold_back = HOLD_BACK_SKIP;
	else
	{
		ending->outcome.bytes_before = bytes_on_disk(task->relation);
		if (step->action->consider != NULL)
			hold_back = step->action->consider(context, &reason);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);

	if (hold_back == HOLD_BACK_NOTHING)
		return true;
	ending->outcome.state = "skipped";
	ending->outcome.error = reason;
	ending->retry = hold_back == HOLD_BACK_RETRY;
	return false;
}

/*
 * Do the work, as the role of the run.
 */
static void
execute_task(TaskContext *context)
{
	MemoryContext previous = CurrentMemoryContext;

	if (step->action->execute == NULL)
	{
		execute_at_top_level(context->task->command);
		return;
	}
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, context->task->command);
	StartTransactionCommand();
	MemoryContextSwitchTo(previous);
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	step->action->execute(context);
	if (StatementTimeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);
	(void) pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * See what came of it.
 */
static void
record_task(TaskContext *context, Ending *ending)
{
	MemoryContext previous = CurrentMemoryContext;
	Oid relation = context->task->relation;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(previous);
	/* what has been done must not fail for want of its new size */
	if (ConditionalLockRelationOid(relation, AccessShareLock) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
		ending->outcome.bytes_after = bytes_on_disk(relation);
	if (step->action->record != NULL)
		step->action->record(context);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);

	ending->outcome.state = "succeeded";
	ending->outcome.result = context->result;
	ending->findings = context->findings;
	if (context->not_done != NULL)
	{
		ending->outcome.state = "skipped";
		ending->outcome.error = context->not_done;
	}
}

/*
 * Who was in the way, as long as they can still be seen.
 */
static char *
explain_lock_failure(const ClaimedTask *task)
{
	LedgerScope scope;
	char *holders;

	HOLD_CANCEL_INTERRUPTS();
	ledger_begin(&scope, arguments.extension);
	holders = name_lock_holders(task->task_id);
	ledger_commit(&scope);
	RESUME_CANCEL_INTERRUPTS();
	if (holders == NULL)
		return psprintf("no lock within %d ms; whoever held it is gone by now",
						run.lock_timeout);
	return psprintf("no lock within %d ms: %s", run.lock_timeout, holders);
}

/*
 * An ERROR as the ending of a task.
 */
static void
end_with_error(const ClaimedTask *task, const ErrorData *error, Ending *ending)
{
	ending->outcome.sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	ending->outcome.error =
		error->detail == NULL
			? pstrdup(error->message)
			: psprintf("%s; %s", error->message, error->detail);
	ending->outcome.state = "failed";
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
			ending->outcome.state = "skipped";
			ending->outcome.error = explain_lock_failure(task);
			ending->retry = true;
			break;
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			ending->retry = true;
			break;
		case ERRCODE_QUERY_CANCELED:
			/* statement_timeout has the same code, but is no request */
			if (StatementTimeout == 0 ||
				!TimestampDifferenceExceeds(
					GetCurrentStatementStartTimestamp(), GetCurrentTimestamp(),
					StatementTimeout))
				ending->outcome.state = "cancelled";
			break;
		default:
			break;
	}
}

/*
 * From a claimed task to its ending, whatever happens on the way.
 */
static void
carry_out_task(const ClaimedTask *task, Ending *ending)
{
	MemoryContext context = CurrentMemoryContext;
	TaskContext work = {0};

	memset(ending, 0, sizeof(*ending));
	ending->outcome.bytes_before = -1;
	ending->outcome.bytes_after = -1;
	work.run_id = arguments.run_id;
	work.extension = arguments.extension;
	work.options = step->options;
	work.task = task;

	PG_TRY();
	{
		if (prepare_task(&work, ending))
		{
			execute_task(&work);
			record_task(&work, ending);
		}
	}
	PG_CATCH();
	{
		ErrorData *error;

		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		EmitErrorReport();
		debug_query_string = NULL;
		AbortCurrentTransaction();
		PortalErrorCleanup();
		FlushErrorState();
		MemoryContextSwitchTo(context);
		pgstat_report_activity(STATE_IDLE, NULL);
		RESUME_INTERRUPTS();
		end_with_error(task, error, ending);
	}
	PG_END_TRY();
}

/*
 * How long to wait before the next attempt: 1, 2, 4 … 60 seconds.
 */
static int64
pause_before_attempt(int attempts)
{
	return Min(INT64CONST(60000), INT64CONST(1000) << Min(attempts - 1, 6));
}

/*
 * Write down how a task ended.  The caller is inside a ledger scope.
 */
static void
record_ending(const ClaimedTask *task, const Ending *ending)
{
	ListCell *cell;

	if (ending->retry && task->attempt <= run.lock_retries)
	{
		postpone_task(task->task_id, &ending->outcome,
					  pause_before_attempt(task->attempt));
		return;
	}
	finish_task(task->task_id, &ending->outcome);
	if (strcmp(ending->outcome.state, "skipped") == 0)
		add_finding(arguments.run_id, "skipped", "warning", task->target,
					psprintf("%s was skipped: %s", task->command,
							 ending->outcome.error),
					NULL);
	foreach (cell, ending->findings)
	{
		PlannedFinding *finding = lfirst(cell);

		add_finding(arguments.run_id, finding->check_id, finding->severity,
					finding->object, finding->message, finding->detail);
	}
}

/*
 * Write down how the last task ended, if there was one, and claim the next, in
 * one transaction.  When none is to be had now, milliseconds says when to ask
 * again; a negative number: never.
 *
 * A cancel that arrives in here is for the next task, or for none.
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
	/* without a leader nobody would know what is done here */
	if (leader_is_alive())
		claimed = claim_task(arguments.run_id, arguments.step,
							 arguments.worker, next);
	if (!claimed && leader_is_alive() &&
		!cancellation_requested(arguments.run_id))
	{
		TaskCounts counts;

		count_tasks(arguments.run_id, arguments.step, &counts);
		if (counts.pending > 0)
			*milliseconds = Max(counts.milliseconds_to_next, 20);
	}
	ledger_commit(&scope);
	RESUME_CANCEL_INTERRUPTS();
	return claimed;
}

/*
 * Claim and carry out tasks until there are none.
 */
static void
work(void)
{
	MemoryContext contexts[2];
	ClaimedTask tasks[2];
	Ending ending;
	ClaimedTask *last = NULL;
	int turn = 0;

	/* a task's memory is needed until its ending is written down */
	for (int i = 0; i < 2; i++)
		contexts[i] = AllocSetContextCreate(TopMemoryContext, "pgmaint task",
											ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		int64 milliseconds;
		bool claimed;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		turn = 1 - turn;
		MemoryContextReset(contexts[turn]);
		MemoryContextSwitchTo(contexts[turn]);
		claimed = next_task(last, &ending, &tasks[turn], &milliseconds);
		last = NULL;
		if (claimed)
		{
			carry_out_task(&tasks[turn], &ending);
			last = &tasks[turn];
			continue;
		}
		if (milliseconds < 0)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(milliseconds, 1000), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		/* a cancel while nothing runs is for nobody */
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
	(void) hold_engine_lock(LOCK_TASK_WORKER, false, true);

	MemoryContextSwitchTo(TopMemoryContext);
	pin_session_settings();
	read_orders();
	apply_session_settings();
	work();
	proc_exit(0);
}
