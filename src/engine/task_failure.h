/*-------------------------------------------------------------------------
 *
 * task_failure.h
 *	  Recovery from the ERROR of a task, and its text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASK_FAILURE_H
#define PGMAINT_TASK_FAILURE_H

#include "action/action.h"

extern ErrorData *recover_from_error(MemoryContext caller);
extern char *text_of_failure(const TaskContext *context,
							 const ErrorData *error);
extern char *text_of_lock_failure(const TaskContext *context);

#endif /* PGMAINT_TASK_FAILURE_H */
