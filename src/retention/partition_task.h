/*-------------------------------------------------------------------------
 *
 * partition_task.h
 *	  The task that removes a whole partition.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PARTITION_TASK_H
#define PGMAINT_PARTITION_TASK_H

#include "retention/departure.h"
#include "retention/retention_work.h"

extern void prepare_departure(const TaskContext *context,
							  const RetentionWork *work,
							  const RetentionPolicy *policy,
							  Departure *departure);

/* in a ledger scope */
extern char *key_of_partition(const TaskContext *context,
							  const RetentionWork *work,
							  const RetentionPolicy *policy,
							  const Partition *partition);

/* outside of any transaction */
extern void finalize_detachment(TaskContext *context);

/* in a transaction, outside of a ledger scope */
extern void execute_departure(TaskContext *context, const RetentionWork *work,
							  const RetentionPolicy *policy);

#endif /* PGMAINT_PARTITION_TASK_H */
