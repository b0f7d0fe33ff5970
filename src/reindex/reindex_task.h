/*-------------------------------------------------------------------------
 *
 * reindex_task.h
 *	  One task of the action "reindex".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REINDEX_TASK_H
#define PGMAINT_REINDEX_TASK_H

#include "action/action.h"

extern HoldBack consider_reindex(TaskContext *context, char **reason,
								 int64 min_free);
extern void perform_reindex(TaskContext *context);
extern void record_reindex(TaskContext *context);
extern char *describe_reindex(const ClaimedTask *task, Jsonb *result);
extern void clean_up_reindex(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_REINDEX_TASK_H */
