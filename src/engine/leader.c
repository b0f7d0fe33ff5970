/*-------------------------------------------------------------------------
 *
 * leader.c
 *	  The leader: one for each database that has queued runs.
 *
 * The leader executes queued runs one after the other.  For each step of a run
 * it lets the action plan tasks, starts task workers, and watches them.  Every
 * change of state is committed when it happens, and between two reads of the
 * ledger the leader has no transaction and no snapshot.
 *
 * The leader is connected as the bootstrap superuser and executes only pgmaint's
 * own SQL.
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
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "backup/proof.h"
#include "backup/scratch.h"
#include "base/compat.h"
#include "base/locks.h"
#include "base/rights.h"
#include "base/settings.h"
#include "base/subtransaction.h"
#include "compact/free_space.h"
#include "engine/crew.h"
#include "engine/launch.h"
#include "engine/leadership.h"
#include "engine/runner.h"
#include "engine/upkeep.h"
#include "engine/waiting.h"
#include "ledger/failure.h"
#include "ledger/findings.h"
#include "ledger/identity.h"
#include "ledger/queue.h"
#include "ledger/tasks.h"

PGDLLEXPORT void pgmaint_leader_main(Datum main_arg);

/*
 * how often a leader that ends tries to start others, and its pause between
 * tries
 */
#define LAUNCH_ATTEMPTS 60
#define LAUNCH_INTERVAL_MS 500

static LeaderArguments arguments;

/*
 * SIGTERM interrupts the leader's command, but leaves the leader alive for
 * long enough to record that runs and tasks were interrupted.
 */
static void
handle_terminate(SIGNAL_ARGS)
{
	int save_errno = errno;

	ShutdownRequestPending = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

/*
 * While a step is planned, code of a table's owner runs in this process, and
 * may catch the ERROR that a signal has become.  ProcDiePending then ends the
 * process at its next check for interrupts, which no code can catch: neither
 * the leader nor the server's shutdown must wait forever.
 */
static void
/* NOLINTNEXTLINE(bugprone-easily-swappable-parameters): a callback */
heed_caught_signal(SubXactEvent event, SubTransactionId subtransaction,
				   SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB || !ShutdownRequestPending ||
		!InSecurityRestrictedOperation())
		return;
	ProcDiePending = true;
	InterruptPending = true;
}

/*
 * End this process.  It releases its units, the shares of worker slots that
 * locks.h describes, and starts leaders of databases that wait for them.  While
 * a messenger or a parallel query has the slot, such a leader cannot start.  No
 * other process would start it, so this process tries again for a while.
 */
static void
leave(int code, bool own)
{
	bool launched = false;

	HOLD_CANCEL_INTERRUPTS();
	release_all_engine_locks();
	for (int i = 0; i < LAUNCH_ATTEMPTS && !launched; i++)
	{
		if (i > 0)
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 LAUNCH_INTERVAL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		StartTransactionCommand();
		launched = launch_waiting_leaders(own) || ShutdownRequestPending;
		CommitTransactionCommand();
	}
	proc_exit(code);
}

/*
 * Record that running tasks and runs were stopped, and end.
 */
static void
leave_interrupted(void)
{
	LedgerScope scope;

	HOLD_CANCEL_INTERRUPTS();
	crew_dismiss();
	ledger_begin(&scope, arguments.extension);
	(void) interrupt_running_tasks("the server or the leader was stopped");
	(void) interrupt_running_runs("the server or the leader was stopped");
	ledger_commit(&scope);
	RESUME_CANCEL_INTERRUPTS();
	leave(0, false);
}

/*
 * If the extension was dropped during the run, there is no ledger to write to:
 * end.
 */
static void
leave_if_dropped(const Run *run)
{
	if (extension_is_there(arguments.extension))
		return;
	ereport(LOG,
			(errmsg("pgmaint run %lld ends because the extension was dropped",
					(long long) run->run_id)));
	crew_dismiss();
	leave(0, false);
}

/*
 * If a schema of the extension was renamed during the run, the ledger cannot
 * be written until it is renamed back: end, and let the next leader record
 * that the run was interrupted.
 */
static void
leave_if_renamed(const Run *run)
{
	RenamedSchema schema;
	bool renamed;

	StartTransactionCommand();
	renamed = schema_is_renamed(&schema);
	if (renamed)
		ereport(LOG, (errmsg("pgmaint run %lld is interrupted because schema "
							 "\"%s\" was renamed to \"%s\"",
							 (long long) run->run_id, schema.name, schema.now),
					  errhint("Execute ALTER SCHEMA %s RENAME TO %s.",
							  quote_identifier(schema.now), schema.name)));
	CommitTransactionCommand();
	if (!renamed)
		return;
	crew_dismiss();
	leave(0, false);
}

/*
 * End a run that failed with an ERROR: its running tasks are interrupted, and
 * the next run begins.
 */
static void
give_up_run(const Run *run, const ErrorData *error)
{
	LedgerScope scope;
	bool cancelled = asks_to_stop(error);
	char *reason = "the run was cancelled";

	if (!cancelled)
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("pgmaint run %lld failed: %s", (long long) run->run_id,
						error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0,
				 error->context ? errcontext_msg("%s", error->context) : 0));
	HOLD_CANCEL_INTERRUPTS();
	crew_dismiss();
	ledger_begin(&scope, arguments.extension);
	if (!cancelled)
		reason = describe_failure(error);
	(void) interrupt_running_tasks(
		cancelled ? reason : "the run ended because of an error");
	end_run(run->run_id, cancelled ? "cancelled" : "failed", reason);
	if (!cancelled)
	{
		add_failed_run(run->run_id, current_step_number(), reason);
		/* the step that notifies contacts is not reached */
		launch_messenger_at_commit();
	}
	ledger_commit(&scope);
	RESUME_CANCEL_INTERRUPTS();
}

/*
 * Execute a run, and handle all errors.  Returns false if the run was queued
 * again.
 */
static bool
carry_out_run_safely(const Run *run, MemoryContext context)
{
	volatile bool ended = true;

	PG_TRY();
	{
		ended = carry_out_run(run, arguments.extension);
	}
	PG_CATCH();
	{
		ErrorData *error;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		/* the process must live until leave_interrupted() has recorded it */
		ProcDiePending = false;
		RESUME_INTERRUPTS();
		if (ShutdownRequestPending)
			leave_interrupted();
		leave_if_dropped(run);
		leave_if_renamed(run);
		give_up_run(run, error);
	}
	PG_END_TRY();
	return ended;
}

/*
 * Execute the runs that are queued.  Returns false if a run was queued again
 * because it found no worker slot: other runs would find none either.
 */
static bool
carry_out_queued_runs(void)
{
	MemoryContext context = AllocSetContextCreate(
		TopMemoryContext, "pgmaint run", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		LedgerScope scope;
		Run run;
		bool found;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		if (ShutdownRequestPending)
			leave_interrupted();
		ledger_begin(&scope, arguments.extension);
		end_cancelled_queued_runs();
		found = take_queued_run(&run);
		ledger_commit(&scope);
		if (!found)
			return true;
		if (!carry_out_run_safely(&run, context))
			return false;
	}
}

/*
 * End the task workers of a leader that died, if any outlived it, and wait for
 * them: they would continue to work on tables that this leader gives to
 * others.
 */
static void
end_stray_workers(void)
{
	for (;;)
	{
		LedgerScope scope;
		LedgerQuery query = {0};
		uint64 strays;

		CHECK_FOR_INTERRUPTS();
		ledger_begin(&scope, arguments.extension);
		strays = ledger_query(
			&query,
			"SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
			"WHERE a.backend_type = 'pgmaint task worker' "
			"AND a.datname = pg_catalog.current_database()");
		ledger_commit(&scope);
		if (strays == 0)
			return;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Update rows of an earlier leader that died, and rows that came from another
 * database of which this one is a copy.
 */
static void
reconcile(void)
{
	LedgerScope scope;

	end_stray_workers();
	ledger_begin(&scope, arguments.extension);
	(void) ensure_identity();
	(void) interrupt_running_tasks(
		"the server or the leader stopped during the run");
	(void) interrupt_running_runs(
		"the server or the leader stopped during the run");
	interrupt_copied_runs();
	if (arguments.resume)
		resume_interrupted_runs();
	ledger_commit(&scope);
	drop_scratches_left(arguments.extension);
	end_proofs_left(arguments.extension);
	show_free_space_left(arguments.extension);
}

/*
 * Lead until no run is queued.  Returns true if this database may start another
 * leader, should a run have been queued since; false if another process leads,
 * the extension was dropped, or no worker slot is free.
 */
static bool
lead(void)
{
	if (!become_leader(arguments.extension))
		return false;
	do
	{
		(void) hold_engine_lock(LOCK_LEADER_ALIVE, true, true);
		unmark_waiting(MyDatabaseId, arguments.extension);
		StartTransactionCommand();
		(void) launch_waiting_leaders(false);
		CommitTransactionCommand();
		reconcile();
		if (!carry_out_queued_runs())
		{
			mark_waiting(MyDatabaseId, arguments.extension);
			return false;
		}
		analyze_ledger(arguments.extension);
	} while (stop_leading(arguments.extension) &&
			 hold_engine_lock(LOCK_LEADER, true, false));
	return true;
}

/*
 * Entry point of the background worker.
 */
void
pgmaint_leader_main(Datum main_arg)
{
	volatile bool own = false;
	volatile int code = 0;

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, handle_terminate);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(arguments.database, InvalidOid,
											  0);
	pin_session_settings();
	before_shmem_exit(crew_dismiss_at_exit, (Datum) 0);
	RegisterSubXactCallback(heed_caught_signal, NULL);

	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION);
	PG_TRY();
	{
		own = lead();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
		HOLD_CANCEL_INTERRUPTS();
		crew_dismiss();
		code = 1;
	}
	PG_END_TRY();
	leave(code, own);
}
