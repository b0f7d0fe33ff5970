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

/* how often the ledger is read while workers run */
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
	TimestampTz no_slot_since; /* 0: a worker could be started */
} crew;

/* numbers continue through the steps of a run, and none is used twice */
static int last_worker = 0;

/*
 * A run that another leader began has had workers already.
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
	/* places are not cleared when a crew is dismissed */
	for (int i = 0; i < MAX_CREW; i++)
		clear_place(i);
}

/*
 * Free the place of a worker, and record that the task was interrupted that it
 * had claimed and not finished.  Returns whether it had claimed any task.
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
 * Free the places of workers that have ended; a task that one of them had
 * claimed and not finished was interrupted.  Tasks are counted after that, to
 * include all that these workers did.
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
	/* the limit is one more than can be running, to include a pending task */
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
 * Start one more worker; false if no slot is free.  The leader has a unit for
 * the first worker from the start.
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
 * Start workers up to the number of tasks and pgmaint.max_workers.  Returns
 * false if none could be started for pgmaint.worker_timeout, and none is left.
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
 * Start workers that are missing, and end the step when its tasks have ended.
 * The caller is inside a ledger scope.
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
 * Interrupt the commands of the workers.  Repeated each time, because a
 * command may swallow the signal.
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
 * Wait until a worker starts or ends, the latch is set, or it is time to read
 * the ledger again.
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
 * The leader ends with an error, and its workers must end with it.
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
