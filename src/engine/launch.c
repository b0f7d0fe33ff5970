/*-------------------------------------------------------------------------
 *
 * launch.c
 *	  Starting the leader and the task workers.
 *
 * All are dynamic background workers: nothing of pgmaint runs while nothing
 * is due, and shared_preload_libraries is not needed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/rights.h"
#include "base/locks.h"
#include "base/settings.h"
#include "engine/launch.h"

StaticAssertDecl(sizeof(TaskWorkerArguments) <= BGW_EXTRALEN,
				 "arguments must fit into bgw_extra");

/* what to start when this transaction commits, if the database is set */
static LeaderArguments wanted_leader;
static MessengerArguments wanted_messenger;

/*
 * The leader that this session started last.  The handle's memory is taken
 * beforehand, since a commit is no place to run out of it.
 */
static BackgroundWorkerHandle *last_leader = NULL;
static MemoryContext leader_context = NULL;

/*
 * Ask for a process.  The constants fit, so that nothing in here can fail but
 * for want of a slot: it is called in the middle of a commit.
 */
bool
launch_worker(const char *type, const char *name, const char *function,
			  const void *arguments, Size size, bool notify,
			  BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "pgmaint", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	memcpy(worker.bgw_extra, arguments, size);
	worker.bgw_notify_pid = notify ? MyProcPid : 0;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

static bool
start_wanted_leader(void)
{
	LeaderArguments arguments = wanted_leader;
	BackgroundWorkerHandle *handle;
	MemoryContext previous = MemoryContextSwitchTo(leader_context);
	bool launched;

	memset(&wanted_leader, 0, sizeof(wanted_leader));
	launched = launch_worker("pgmaint leader", "pgmaint leader",
							 "pgmaint_leader_main", &arguments,
							 sizeof(arguments), false, &handle);
	MemoryContextSwitchTo(previous);
	if (launched)
	{
		if (last_leader != NULL)
			pfree(last_leader);
		last_leader = handle;
	}
	return launched;
}

static BgwHandleStatus
last_leader_status(void)
{
	pid_t pid;

	return last_leader == NULL ? BGWH_STOPPED
							   : GetBackgroundWorkerPid(last_leader, &pid);
}

/*
 * For want of a slot messages wait for the next tick.
 */
static void
start_wanted_messenger(void)
{
	MessengerArguments arguments = wanted_messenger;

	memset(&wanted_messenger, 0, sizeof(wanted_messenger));
	(void) launch_worker("pgmaint messenger", "pgmaint messenger",
						 "pgmaint_messenger_main", &arguments,
						 sizeof(arguments), false, NULL);
}

/*
 * The row of the run becomes visible with the commit, so the leader is started
 * then and not before.  An ERROR at that point would be a PANIC, so whether
 * there is a leader already is asked before it.
 *
 * A leader that was seen alive, or that has yet to start, does not leave
 * without looking at the queue after this transaction: see leave_queue() in
 * leader.c.  Between the two there is a moment in which a session that queues
 * many runs starts more leaders than one; those that are too many leave, and
 * for want of a slot for one of them the run does not wait.
 */
static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (OidIsValid(wanted_messenger.database))
	{
		if (event == XACT_EVENT_COMMIT)
			start_wanted_messenger();
		else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
			memset(&wanted_messenger, 0, sizeof(wanted_messenger));
	}
	if (!OidIsValid(wanted_leader.database))
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			lock_in_transaction(LOCK_QUEUE, false);
			if (leader_is_alive() ||
				last_leader_status() == BGWH_NOT_YET_STARTED)
				memset(&wanted_leader, 0, sizeof(wanted_leader));
			break;
		case XACT_EVENT_COMMIT:
			if (!start_wanted_leader() && last_leader_status() == BGWH_STOPPED)
				ereport(
					WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg(
						 "no background worker slot is free to start the pgmaint leader"),
					 errdetail(
						 "The run stays queued until a leader is started by the next call."),
					 errhint(
						 "Wait for other workers to end, or raise max_worker_processes.")));
			break;
		case XACT_EVENT_ABORT:
			memset(&wanted_leader, 0, sizeof(wanted_leader));
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "cannot PREPARE a transaction that has queued a pgmaint run"),
				 errhint("Queue the run in a transaction of its own.")));
			break;
		default:
			break;
	}
}

static void
set_wanted_leader(void)
{
	if (leader_context == NULL)
		leader_context = AllocSetContextCreate(
			TopMemoryContext, "pgmaint leader", ALLOCSET_SMALL_SIZES);
	wanted_leader.extension = extension_oid(false);
	wanted_leader.database = MyDatabaseId;
}

static void
register_callback(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		registered = true;
	}
}

/*
 * Start a leader when this transaction commits, unless there is one.  A
 * savepoint that is rolled back leaves a leader that finds nothing to do.
 */
void
launch_leader_at_commit(bool resume)
{
	register_callback();
	set_wanted_leader();
	wanted_leader.resume |= resume;
}

/*
 * Start a leader now, for runs that are committed; false when no slot is free.
 */
bool
launch_leader(void)
{
	set_wanted_leader();
	return start_wanted_leader();
}

/*
 * Start a messenger when this transaction commits.  Those that are too many
 * leave.
 */
void
launch_messenger_at_commit(void)
{
	register_callback();
	wanted_messenger.extension = extension_oid(false);
	wanted_messenger.database = MyDatabaseId;
	wanted_messenger.clock_offset = pgmaint_clock_offset;
}

bool
launch_task_worker(const TaskWorkerArguments *arguments,
				   BackgroundWorkerHandle **handle)
{
	char name[BGW_MAXLEN];

	snprintf(name, sizeof(name), "pgmaint task worker %d of run %lld",
			 arguments->worker, (long long) arguments->run_id);
	return launch_worker("pgmaint task worker", name,
						 "pgmaint_task_worker_main", arguments,
						 sizeof(*arguments), true, handle);
}
