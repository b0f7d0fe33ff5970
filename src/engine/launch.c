/*-------------------------------------------------------------------------
 *
 * launch.c
 *	  Starts leaders, task workers and messengers.
 *
 * All are dynamic background workers: no process of pgmaint exists while there
 * is no work, and shared_preload_libraries is not needed.
 *
 * All databases of the cluster share the slots.  A leader is started if there
 * are units for it (see base/locks.c); a database that has to wait for units has
 * a marker (see waiting.c), which is written before units are counted.  A
 * process that releases units looks for markers after that.  So there is no
 * moment in which a database waits and no process will start its leader, except
 * after a crash, a FATAL error or a termination of a leader, whose work
 * pgmaint.tick() continues.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/rights.h"
#include "base/locks.h"
#include "base/settings.h"
#include "engine/launch.h"
#include "engine/waiting.h"

StaticAssertDecl(sizeof(TaskWorkerArguments) <= BGW_EXTRALEN,
				 "arguments must fit into bgw_extra");

/* how often, and how long each time, a commit waits for a slot */
#define SLOT_TRIES 10
#define SLOT_WAIT_MS 20

/* processes to start when this transaction commits, if the database is set */
static LeaderArguments wanted_leader;
static MessengerArguments wanted_messenger;

/* start the leader even if the transaction is rolled back */
static bool wanted_after_abort = false;

/*
 * The leader that this session started last.  The memory of the handle is
 * allocated beforehand, because a commit must not run out of memory.
 */
static BackgroundWorkerHandle *last_leader = NULL;
static MemoryContext leader_context = NULL;

/*
 * Register a process.  Only the lack of a slot can make this fail: it is
 * called during a commit.
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
launch_leader_of(const LeaderArguments *arguments,
				 BackgroundWorkerHandle **handle)
{
	return launch_worker("pgmaint leader", "pgmaint leader",
						 "pgmaint_leader_main", arguments, sizeof(*arguments),
						 false, handle);
}

static void
forget_wanted_leader(void)
{
	memset(&wanted_leader, 0, sizeof(wanted_leader));
	wanted_after_abort = false;
}

static bool
start_wanted_leader(void)
{
	LeaderArguments arguments = wanted_leader;
	BackgroundWorkerHandle *handle;
	MemoryContext previous = MemoryContextSwitchTo(leader_context);
	bool launched;

	forget_wanted_leader();
	/*
	 * a process that has just ended releases its units before its slot is free
	 */
	for (int i = 0;
		 !(launched = launch_leader_of(&arguments, &handle)) && i < SLOT_TRIES;
		 i++)
		pg_usleep(SLOT_WAIT_MS * 1000L);
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
 * Before the commit, decide whether to start a leader: not if there is one,
 * nor if other leaders have all the units, because these start this database's
 * leader when they end.
 */
static void
prepare_wanted_leader(void)
{
	lock_in_transaction(LOCK_QUEUE, false);
	if (leader_is_alive() || last_leader_status() == BGWH_NOT_YET_STARTED)
	{
		forget_wanted_leader();
		return;
	}
	if (slots_for_units() < LEADER_UNITS)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no pgmaint run can begin with max_worker_processes "
						"= %d",
						max_worker_processes),
				 errhint("Set max_worker_processes to at least %d, and "
						 "restart the server.",
						 max_worker_processes - slots_for_units() +
							 LEADER_UNITS)));
	mark_waiting(wanted_leader.database, wanted_leader.extension);
	if (count_free_units(LEADER_UNITS) < LEADER_UNITS)
		forget_wanted_leader();
}

/*
 * Without a slot, messages wait for the next tick.
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
 * then and not before.  An ERROR at that point would be a PANIC, so the check
 * for an existing leader comes before the commit.
 *
 * A leader that was alive then, or that has yet to start, does not end without
 * reading the queue after this transaction: see stop_leading() in
 * leadership.c.  Between the two there is a moment in which a session that
 * queues many runs starts several leaders; all but one end, and the run does
 * not need a slot for them.
 */
static void
launch_wanted_leader(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			prepare_wanted_leader();
			break;
		case XACT_EVENT_COMMIT:
			if (!start_wanted_leader() && last_leader_status() == BGWH_STOPPED)
				ereport(
					WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg(
						 "no background worker slot is free to start the pgmaint leader"),
					 errdetail(
						 "The run stays queued until the next call, pgmaint.tick(), or the end of a run in another database starts a leader."),
					 errhint(
						 "Wait for other workers to end, or raise max_worker_processes.")));
			break;
		case XACT_EVENT_ABORT:
			if (wanted_after_abort)
				(void) start_wanted_leader();
			forget_wanted_leader();
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "cannot PREPARE a transaction that has queued a pgmaint run"),
				 errhint("Queue the run in a separate transaction.")));
			break;
		default:
			break;
	}
}

/*
 * The leader comes first: messages must not take the last slot.
 */
static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (OidIsValid(wanted_leader.database))
		launch_wanted_leader(event);
	if (!OidIsValid(wanted_messenger.database))
		return;
	if (event == XACT_EVENT_COMMIT)
		start_wanted_messenger();
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		memset(&wanted_messenger, 0, sizeof(wanted_messenger));
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
 * Start a leader when this transaction commits, unless there is one.  After a
 * savepoint is rolled back, the leader finds nothing to do and ends.
 */
void
launch_leader_at_commit(bool resume)
{
	register_callback();
	set_wanted_leader();
	wanted_leader.resume |= resume;
}

/*
 * The same, and also if this transaction is rolled back: by its lock on the
 * row it has prevented a run from beginning, and a leader may have ended
 * without it.
 */
void
launch_leader_at_end(void)
{
	launch_leader_at_commit(false);
	/* an abort must not allocate one; an unnecessary leader is harmless */
	mark_waiting(wanted_leader.database, wanted_leader.extension);
	wanted_after_abort = true;
}

/*
 * Start a leader now, for runs that are committed, if there are units for it.
 */
void
launch_leader_if_room(void)
{
	if (count_free_units(LEADER_UNITS) < LEADER_UNITS)
		return;
	set_wanted_leader();
	(void) start_wanted_leader();
}

/*
 * Can a process connect to this database?  Not if it was dropped, or is being
 * dropped, which the server marks by an impossible connection limit.
 */
static bool
database_accepts_leader(Oid database)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	Form_pg_database form;
	bool accepts;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_database) GETSTRUCT(tuple);
	accepts = form->datallowconn && form->datconnlimit >= -1;
	ReleaseSysCache(tuple);
	return accepts;
}

/*
 * Start the leaders of databases that wait, as many as there are units for, in
 * a transaction.  Skip this database if it has a leader, or if its leader has
 * just found that it can do nothing.  Returns false if there are units but no
 * slot: processes that use no units have it.
 */
bool
launch_waiting_leaders(bool own)
{
	int room = count_free_units(MAX_HELD_UNITS) / LEADER_UNITS;
	ListCell *cell;

	if (room == 0)
		return true;
	foreach (cell, find_waiting_databases())
	{
		const WaitingDatabase *waiting = lfirst(cell);
		LeaderArguments arguments = {0};

		if (waiting->database == MyDatabaseId && !own)
			continue;
		if (!database_accepts_leader(waiting->database))
		{
			unmark_waiting(waiting->database, waiting->extension);
			continue;
		}
		if (leader_is_alive_in(waiting->database))
			continue;
		arguments.database = waiting->database;
		arguments.extension = waiting->extension;
		if (!launch_leader_of(&arguments, NULL))
			return false;
		move_to_back(waiting);
		if (--room == 0)
			return true;
	}
	return true;
}

/*
 * Start a messenger when this transaction commits.  Unnecessary ones end.
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
