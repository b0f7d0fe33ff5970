/*-------------------------------------------------------------------------
 *
 * backup_task.h
 *	  Execution of tasks of the action "backup".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BACKUP_TASK_H
#define PGMAINT_BACKUP_TASK_H

#include "action/action.h"

/* the placeholder in a key for the time when an attempt begins */
#define KEY_TIME "{time}"

extern HoldBack consider_backup(TaskContext *context, char **reason);
extern void execute_backup(TaskContext *context);
extern char *describe_backup_result(const ClaimedTask *task, Jsonb *result);
extern void clean_up_backup(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_BACKUP_TASK_H */
