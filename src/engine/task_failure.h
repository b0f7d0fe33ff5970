/*-------------------------------------------------------------------------
 *
 * task_failure.h
 *	  How a task goes on after an ERROR, and what it says of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASK_FAILURE_H
#define PGMAINT_TASK_FAILURE_H

#include "engine/task.h"

extern ErrorData *recover_from_error(MemoryContext caller);
extern char *text_of_failure(const TaskContext *context,
							 const ErrorData *error);
extern void explain_lock_failure(const TaskContext *context, Ending *ending);

#endif /* PGMAINT_TASK_FAILURE_H */
