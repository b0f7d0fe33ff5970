/*-------------------------------------------------------------------------
 *
 * backup_task.h
 *	  How a task of the action "backup" is carried out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BACKUP_TASK_H
#define PGMAINT_BACKUP_TASK_H

#include "action/action.h"

/* what stands for the time at which an attempt begins, in the name of a key */
#define KEY_TIME "{time}"

extern HoldBack consider_backup(TaskContext *context, char **reason);
extern void execute_backup(TaskContext *context);
extern char *describe_backup_result(const ClaimedTask *task, Jsonb *result);
extern void clean_up_backup(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_BACKUP_TASK_H */
