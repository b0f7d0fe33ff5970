/*-------------------------------------------------------------------------
 *
 * retention_task.h
 *	  Execution of a task of the action "retention".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_TASK_H
#define PGMAINT_RETENTION_TASK_H

#include "action/action.h"

extern HoldBack consider_retention(TaskContext *context, char **reason);
extern void execute_retention(TaskContext *context);
extern void clean_up_retention(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_RETENTION_TASK_H */
