/*-------------------------------------------------------------------------
 *
 * retention_work.h
 *	  The planned work of tasks of the action "retention", and their archives.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_WORK_H
#define PGMAINT_RETENTION_WORK_H

#include "action/action.h"
#include "retention/archive.h"

/* the planned work, from the evidence of the task */
typedef struct RetentionWork
{
	char *kind;
	char *cutoff;
	char *from;
	char *to;
	char *key; /* of a slice */
	bool open;
	bool empty; /* a partition that is removed only without rows */
	int64 policy_id;
	Oid parent;
} RetentionWork;

/* the archives that a task has written */
typedef struct RetentionArchives
{
	ArchiveResult total;
	StringInfoData numbers; /* their numbers, separated by commas */
} RetentionArchives;

extern void read_work(const ClaimedTask *task, RetentionWork *work);
extern bool is_whole(const RetentionWork *work);

extern void archive_rows(TaskContext *context, const RetentionWork *work,
						 const RetentionPolicy *policy, Oid relation,
						 const char *key, const char *condition,
						 RetentionArchives *archives);

#endif /* PGMAINT_RETENTION_WORK_H */
