/*-------------------------------------------------------------------------
 *
 * compact_task.h
 *	  One task of the action "compact": a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPACT_TASK_H
#define PGMAINT_COMPACT_TASK_H

#include "action/action.h"
#include "compact/compaction.h"

extern void compact_table(TaskContext *context, const CompactLimits *limits);
extern int64 index_growth(int64 *before);
extern void record_compaction(TaskContext *context);
extern void clean_up_compaction(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_COMPACT_TASK_H */
