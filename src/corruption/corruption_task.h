/*-------------------------------------------------------------------------
 *
 * corruption_task.h
 *	  Execution of a task of the action "check_corruption".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CORRUPTION_TASK_H
#define PGMAINT_CORRUPTION_TASK_H

#include "action/action.h"

extern HoldBack consider_check(TaskContext *context, char **reason);
extern void execute_check(TaskContext *context);

#endif /* PGMAINT_CORRUPTION_TASK_H */
