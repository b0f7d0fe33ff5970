/*-------------------------------------------------------------------------
 *
 * retention_plan.h
 *	  The tasks of the action "retention".
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_PLAN_H
#define PGMAINT_RETENTION_PLAN_H

#include "action/action.h"
#include "retention/partition.h"

extern const ActionOption retention_options[];

/* all in a ledger scope */
extern void plan_slices(PlanContext *context, const RetentionPolicy *policy,
						Oid relation, const char *name, const char *cutoff,
						const char *why);
extern void plan_whole_partition(PlanContext *context,
								 const RetentionPolicy *policy,
								 List *partitions, const char *cutoff,
								 int64 bytes, bool empty);
extern void plan_detached_partition(PlanContext *context,
									const RetentionPolicy *policy,
									const Partition *partition);
extern void plan_partitions(PlanContext *context,
							const RetentionPolicy *policy, const char *cutoff);

#endif /* PGMAINT_RETENTION_PLAN_H */
