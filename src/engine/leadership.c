/*-------------------------------------------------------------------------
 *
 * leadership.c
 *	  Taking and releasing the leadership of a database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/locks.h"
#include "base/rights.h"
#include "engine/leadership.h"
#include "engine/waiting.h"
#include "ledger/ledger.h"
#include "ledger/queue.h"

/* how long a leader without work waits for commits of other sessions */
#define COMMIT_WAIT_MS 60000

/*
 * Is it still the extension that this leader was started for?
 */
bool
extension_is_there(Oid extension)
{
	bool there;

	StartTransactionCommand();
	there = extension_oid(true) == extension;
	CommitTransactionCommand();
	return there;
}

/*
 * Wait for the commits of sessions that saw this leader alive, without holding
 * them up: a commit may wait for another server.  Returns false if another
 * process has become the leader, or the wait takes too long.
 */
static bool
wait_for_commits(Oid extension)
{
	TimestampTz since = GetCurrentTimestamp();

	while (!hold_engine_lock(LOCK_QUEUE, true, false))
	{
		CHECK_FOR_INTERRUPTS();
		if (leader_is_alive())
			return false;
		if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
									   COMMIT_WAIT_MS))
		{
			/*
			 * the next leader that ends, or pgmaint.tick(), starts the leader
			 */
			mark_waiting(MyDatabaseId, extension);
			return false;
		}
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	release_engine_lock(LOCK_QUEUE, true);
	return true;
}

/*
 * Release leadership, then wait for transactions that are queueing runs.
 * Returns true if a run was queued meanwhile.
 *
 * After the release no session sees this leader alive; those that did are
 * waited for, to the end of their transactions, and their runs are visible
 * then.  A run that a session has locked is left to that session.
 */
bool
stop_leading(Oid extension)
{
	LedgerScope scope;
	bool queued;

	release_engine_lock(LOCK_LEADER_ALIVE, true);
	release_engine_lock(LOCK_LEADER, true);
	if (!wait_for_commits(extension))
		return false;

	ledger_begin(&scope, extension);
	queued = queued_run_can_begin();
	ledger_commit(&scope);
	return queued;
}

/*
 * In a transaction of its own, which taking units needs.
 */
static bool
find_units(void)
{
	bool found;

	StartTransactionCommand();
	found = take_units(LEADER_UNITS);
	CommitTransactionCommand();
	return found;
}

/*
 * Take the lock that makes a leader; false if there is a leader.
 *
 * A process that has the lock and is not alive has yet to find units, and ends
 * if there are none.  If it looked before the units were released for which
 * this process was started, no other process would come: so this process waits
 * for it.
 */
static bool
claim_leadership(void)
{
	while (!hold_engine_lock(LOCK_LEADER, true, false))
	{
		CHECK_FOR_INTERRUPTS();
		if (leader_is_alive())
			return false;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	return true;
}

/*
 * Become the leader, with a slot for the first task worker.  If there is none,
 * the database waits for the leader of another database to end.
 */
bool
become_leader(Oid extension)
{
	if (!extension_is_there(extension))
	{
		unmark_waiting(MyDatabaseId, extension);
		return false;
	}
	if (!claim_leadership())
		return false;
	if (find_units())
		return true;
	mark_waiting(MyDatabaseId, extension);
	/* a leader that has ended meanwhile may not have seen the marker */
	if (find_units())
		return true;
	StartTransactionCommand();
	ereport(
		LOG,
		(errmsg(
			 "pgmaint leader of database \"%s\" stops: other databases use the worker slots",
			 get_database_name(MyDatabaseId)),
		 errdetail(
			 "The leader starts again when a run in another database ends."),
		 errhint(
			 "Raise max_worker_processes, or schedule the databases at different times.")));
	CommitTransactionCommand();
	proc_exit(0);
}
