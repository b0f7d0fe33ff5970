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

/* what the task may do, and how fast */
typedef struct CompactLimits
{
	bool published;		/* also if subscribers are sent the moved rows */
	bool any_time;		/* cut off the end although a standby is connected */
	int64 max_wal_rate; /* bytes per second; 0: any */
	int64 max_lag;		/* bytes; 0: any */
	int64 kept_pages;	/* a rewrite would need no fewer */
} CompactLimits;

extern void compact_table(TaskContext *context, const CompactLimits *limits);
extern int64 index_growth(int64 *before);
extern void record_compaction(TaskContext *context);
extern void clean_up_compaction(TaskContext *context, const char *sqlstate);

#endif /* PGMAINT_COMPACT_TASK_H */
