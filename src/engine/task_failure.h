/*-------------------------------------------------------------------------
 *
 * task_failure.h
 *	  The text of the ERROR that ended a task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASK_FAILURE_H
#define PGMAINT_TASK_FAILURE_H

#include "action/action.h"

extern char *text_of_failure(const TaskContext *context,
							 const ErrorData *error);
extern char *text_of_lock_failure(const TaskContext *context);

#endif /* PGMAINT_TASK_FAILURE_H */
