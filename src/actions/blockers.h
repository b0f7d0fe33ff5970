/*-------------------------------------------------------------------------
 *
 * blockers.h
 *	  Who stands in the way of a task, for the person who can tell them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOCKERS_H
#define PGMAINT_BLOCKERS_H

#include "ledger/ledger.h"

extern char *name_lock_holders(int64 task_id);
extern char *name_xmin_holder(Oid relation, int64 horizon_age,
							  int64 *seconds_held);
extern char *name_stalling_transaction(Oid table, int64 milliseconds);

#endif /* PGMAINT_BLOCKERS_H */
