/*-------------------------------------------------------------------------
 *
 * verify_task.h
 *	  Execution of tasks of the action "verify_backup".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_VERIFY_TASK_H
#define PGMAINT_VERIFY_TASK_H

#include "action/action.h"

extern void carry_out_verification(TaskContext *context);
extern void clean_up_verification(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_VERIFY_TASK_H */
