/*-------------------------------------------------------------------------
 *
 * restore_task.h
 *	  Execution of tasks of the action "restore_backup".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORE_TASK_H
#define PGMAINT_RESTORE_TASK_H

#include "action/action.h"

extern void carry_out_restoration(TaskContext *context);
extern void clean_up_restoration(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_RESTORE_TASK_H */
