/*-------------------------------------------------------------------------
 *
 * crew.c
 *	  The leader's task workers for one step.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/locks.h"
#include "engine/board.h"
#include "engine/crew.h"
#include "engine/launch.h"
#include "ledger/tasks.h"

/* how many workers in a row may end without having finished a task */
#define MAX_FUTILE_STARTS 3

/* how often the ledger is looked at while workers are at work */
#define LOOK_INTERVAL_MS 200

typedef struct CrewMember
{
	BackgroundWorkerHandle *handle; /* NULL: the place is free */
	int worker;
} CrewMember;

static struct
{
	const Run *run;
	TaskWorkerArguments arguments;
	CrewMember members[MAX_CREW];
	int present;
	UnfinishedTasks unfinished;
	int futile_starts;
	TimestampTz no_slot_since; /* 0: there was one */
} crew;

/* numbers go on through the steps of a run, so that none is used twice */
static int last_worker = 0;

/*
 * A run that was begun by another leader had workers already.
 */
void
crew_number_workers_from(int last)
{
	last_worker = Max(last_worker, last);
}

void
crew_begin(const Run *run, int step, Oid extension)
{
	UnfinishedTasks unfinished = crew.unfinished;

	memset(&crew, 0, sizeof(crew));
	crew.run = run;
	crew.unfinished = unfinished;
	follow_step(&crew.unfinished, run->run_id, step);
	crew.arguments.database = MyDatabaseId;
	crew.arguments.extension = extension;
	crew.arguments.role = run->role;
	crew.arguments.run_id = run->run_id;
	crew.arguments.step = step;
	crew.arguments.board = share_board();
	/* a crew that was dismissed has left its places as they were */
	for (int i = 0; i < MAX_CREW; i++)
		clear_place(i);
}

/*
 * Write down that the task was interrupted that a worker had claimed and not
 * finished, and free its place.  Returns whether it had claimed any at all.
 */
static bool
free_place(int place)
{
	CrewMember *member = &crew.members[place];
	ClaimedTasks *left = tasks_of_place(place);
	bool has_claimed = place_has_claimed(place);

	if (left->count > 0)
		(void) interrupt_tasks_of(crew.run->run_id, member->worker,
								  left->task_ids, left->count,
								  "the task worker was terminated");
	clear_place(place);
	pfree(member->handle);
	member->handle = NULL;
	return has_claimed;
}

/*
 * Free the places of workers that have ended.  A task that one of them had
 * claimed and not finished was interrupted.  What there is to do is counted
 * after that, so that the count has all that they did.
 */
static void
count_those_present(TaskCounts *counts)
{
	bool futile[MAX_CREW] = {0};
	bool ended[MAX_CREW] = {0};

	crew.present = 0;
	for (int i = 0; i < MAX_CREW; i++)
	{
		pid_t pid;

		if (crew.members[i].handle == NULL)
			continue;
		if (GetBackgroundWorkerPid(crew.members[i].handle, &pid) !=
			BGWH_STOPPED)
		{
			crew.present++;
			continue;
		}
		futile[i] = !free_place(i);
		ended[i] = true;
	}
	/* with one more than can be running, one that is pending is among them */
	count_tasks(&crew.unfinished, crew.run->max_workers + 1, counts);
	for (int i = 0; i < MAX_CREW; i++)
	{
		if (!ended[i])
			continue;
		if (counts->pending > 0 && futile[i])
			crew.futile_starts++;
		else
			crew.futile_starts = 0;
	}
	if (keep_units(LEADER_UNITS - 1 + Max(1, crew.present)))
		(void) launch_waiting_leaders(false);
}

/*
 * Put one more worker to work; false when no slot is free.  The leader has a
 * unit for one of them from the start.
 */
static bool
add_member(void)
{
	MemoryContext previous;
	bool launched;

	for (int i = 0; i < MAX_CREW; i++)
	{
		CrewMember *member = &crew.members[i];

		if (member->handle != NULL)
			continue;
		if (crew.present > 0 && !take_units(1))
			return false;
		crew.arguments.worker = ++last_worker;
		crew.arguments.place = i;
		crew.arguments.position = position_before_unfinished(&crew.unfinished);
		/* the handle lives until the worker has ended */
		previous = MemoryContextSwitchTo(TopMemoryContext);
		launched = launch_task_worker(&crew.arguments, &member->handle);
		MemoryContextSwitchTo(previous);
		if (!launched)
		{
			member->handle = NULL;
			(void) keep_units(LEADER_UNITS - 1 + Max(1, crew.present));
			return false;
		}
		member->worker = crew.arguments.worker;
		crew.present++;
		return true;
	}
	return true;
}

/*
 * Bring the crew up to its strength.  Returns false when no worker could be
 * started for pgmaint.worker_timeout, and none is left.
 */
static bool
fill_up(const TaskCounts *counts)
{
	int64 wanted =
		Min(crew.run->max_workers, counts->pending + counts->running);
	TimestampTz now = GetCurrentTimestamp();

	while (crew.present < wanted)
	{
		if (add_member())
		{
			crew.no_slot_since = 0;
			continue;
		}
		if (crew.present > 0)
			break;
		if (crew.no_slot_since == 0)
		{
			crew.no_slot_since = now;
			ereport(
				LOG,
				(errmsg(
					 "pgmaint run %lld waits for a free background worker slot",
					 (long long) crew.run->run_id),
				 errhint(
					 "Wait for other workers to end, or raise max_worker_processes.")));
		}
		return !TimestampDifferenceExceeds(crew.no_slot_since, now,
										   crew.run->worker_timeout * 1000);
	}
	return true;
}

/*
 * See to the workers and the tasks of the step.  The caller is inside a ledger
 * scope.
 */
CrewState
crew_look_after(bool cancelled)
{
	TaskCounts counts;

	count_those_present(&counts);
	if (counts.pending == 0 || cancelled)
		return crew.present > 0 ? CREW_AT_WORK : CREW_DONE;
	if (crew.futile_starts >= MAX_FUTILE_STARTS)
	{
		(void) end_pending_tasks(
			crew.run->run_id, "failed",
			psprintf(
				"task workers of role \"%s\" ended before they began a task; the cause is in the server log",
				crew.run->requested_by));
		return crew.present > 0 ? CREW_AT_WORK : CREW_DONE;
	}
	return fill_up(&counts) ? CREW_AT_WORK : CREW_WITHOUT_SLOT;
}

/*
 * Interrupt what the workers are executing.  Said again at every look, in case
 * a command swallowed it.
 */
void
crew_interrupt(void)
{
	for (int i = 0; i < MAX_CREW; i++)
	{
		pid_t pid;

		if (crew.members[i].handle != NULL &&
			GetBackgroundWorkerPid(crew.members[i].handle, &pid) ==
				BGWH_STARTED)
			(void) kill(pid, SIGINT);
	}
}

/*
 * Wait until a worker starts or ends, somebody sets the latch, or it is time
 * for another look.
 */
void
crew_wait(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 LOOK_INTERVAL_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*
 * End all workers and wait for them.
 */
void
crew_dismiss(void)
{
	for (int i = 0; i < MAX_CREW; i++)
	{
		if (crew.members[i].handle != NULL)
			TerminateBackgroundWorker(crew.members[i].handle);
	}
	for (int i = 0; i < MAX_CREW; i++)
	{
		if (crew.members[i].handle == NULL)
			continue;
		(void) WaitForBackgroundWorkerShutdown(crew.members[i].handle);
		crew.members[i].handle = NULL;
	}
	(void) keep_units(LEADER_UNITS);
}

/*
 * The leader goes away with an error: nobody would look after its workers.
 */
void
crew_dismiss_at_exit(int code, Datum arg)
{
	for (int i = 0; i < MAX_CREW; i++)
	{
		if (crew.members[i].handle != NULL)
			TerminateBackgroundWorker(crew.members[i].handle);
	}
}
