/*-------------------------------------------------------------------------
 *
 * snapshots.h
 *	  Snapshots that keep VACUUM from removing what rows leave behind.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPACT_SNAPSHOTS_H
#define PGMAINT_COMPACT_SNAPSHOTS_H

#include "access/transam.h"

#include "action/action.h"

/* pause between two looks, in milliseconds */
#define SHORT_PAUSE 20

extern TransactionId mark_now(void);
extern bool wait_for_snapshots(Oid relation, TransactionId transaction,
							   int milliseconds);
extern char *name_holder(TaskContext *context, TransactionId transaction,
						 int64 *seconds);

#endif /* PGMAINT_COMPACT_SNAPSHOTS_H */
