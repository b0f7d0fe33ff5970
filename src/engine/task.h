/*-------------------------------------------------------------------------
 *
 * task.h
 *	  One task, from its claim to its ending.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASK_H
#define PGMAINT_TASK_H

#include "action/action.h"

/* how a task ended, and what has to be said about it */
typedef struct Ending
{
	TaskOutcome outcome;
	bool retry;	 /* it gave way: try again, unless that has been done enough */
	int retries; /* what is enough; negative: as for locks */
	int64
		retry_delay; /* milliseconds before the next attempt; 0: as for locks */
	bool accounted_for; /* skipped, and the action has a finding for it */
	List *findings;
} Ending;

extern void carry_out_task(TaskContext *context, Ending *ending);

#endif /* PGMAINT_TASK_H */
