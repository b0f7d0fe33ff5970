/*-------------------------------------------------------------------------
 *
 * leadership.c
 *	  How a process becomes the leader of its database, and stops being it.
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

/* how long a leader that has nothing left to do waits for commits of others */
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
 * Wait until those have committed who counted on this leader, without standing
 * in the way of others: a commit may take as long as another server makes it.
 * Returns false if somebody else has become the leader, or it takes too long.
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
			/* whatever leader ends next, or pgmaint.tick(), sees to it */
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
 * Stop being the leader.  Returns true when a run was queued meanwhile.
 *
 * First nobody can count on this leader any more, then whoever did is waited
 * for, to the end of the transaction; what they queued can be seen then.  A run
 * that a session keeps from being begun is left to that session.
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
 * In a transaction of its own, as taking units needs one.
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
 * Take the lock that makes a leader; false where there is one.
 *
 * Who has it and is not alive has yet to find units, and leaves if there are
 * none.  If it has looked before those came free that this process was started
 * for, nobody else would come: so this process looks after it.
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
 * Become the leader, with a slot for the first task worker.  Where there is
 * none, the database waits for the leader of another to end.
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
