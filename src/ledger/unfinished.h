/*-------------------------------------------------------------------------
 *
 * unfinished.h
 *	  The unfinished tasks of a step, as a process knows them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_UNFINISHED_H
#define PGMAINT_UNFINISHED_H

#include "datatype/timestamp.h"

#include "ledger/tasks.h"

/* a pending or running task, as it was last read */
typedef struct UnfinishedTask
{
	int64 task_id;
	bool running;
	bool tables_in_use;		/* by a task of another worker */
	TimestampTz not_before; /* 0: at any time */
	bool read_again;
} UnfinishedTask;

typedef struct UnfinishedTasks
{
	int64 run_id;
	int step;
	int64 position; /* tasks up to this one are in the list, or have ended */
	bool at_end;	/* and there is none after it */
	UnfinishedTask *tasks; /* in the order of task_id */
	int count;
	int room;
	int turn; /* place in the list from which the next search continues */
} UnfinishedTasks;

/* tasks that other workers have claimed */
typedef struct ClaimedTasks
{
	int count;
	int64 *task_ids;
} ClaimedTasks;

typedef struct TaskCounts
{
	int64 pending;
	int64 running;
} TaskCounts;

extern void follow_step(UnfinishedTasks *unfinished, int64 run_id, int step);
extern int64 find_claimable_task(UnfinishedTasks *unfinished,
								 const ClaimedTasks *others);
extern void forget_task(UnfinishedTasks *unfinished, int64 task_id);
extern void remember_postponed_task(UnfinishedTasks *unfinished, int64 task_id,
									TimestampTz not_before);
extern int64 time_to_next_task(UnfinishedTasks *unfinished,
							   const ClaimedTasks *others);
extern void count_tasks(UnfinishedTasks *unfinished, int limit,
						TaskCounts *counts);
extern int64 position_before_unfinished(const UnfinishedTasks *unfinished);

#endif /* PGMAINT_UNFINISHED_H */
