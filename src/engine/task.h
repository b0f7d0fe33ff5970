/*-------------------------------------------------------------------------
 *
 * task.h
 *	  The execution of one task, from its claim to its end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASK_H
#define PGMAINT_TASK_H

#include "action/action.h"

/* how a task ended, and how the ledger records it */
typedef struct Ending
{
	TaskOutcome outcome;
	bool retry;	 /* the attempt ended early: try again */
	int retries; /* number of retries; negative: as for locks */
	int64
		retry_delay; /* milliseconds before the next attempt; 0: as for locks */
	bool accounted_for; /* skipped, and the action has a finding for it */
	List *findings;
} Ending;

extern void carry_out_task(TaskContext *context, Ending *ending);

#endif /* PGMAINT_TASK_H */
