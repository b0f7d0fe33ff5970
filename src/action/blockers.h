/*-------------------------------------------------------------------------
 *
 * blockers.h
 *	  Sessions that block a task, described for the person who reads the
 *	  ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOCKERS_H
#define PGMAINT_BLOCKERS_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

#include "ledger/ledger.h"

extern char *name_lock_holders(int64 task_id, LOCKMODE awaited);
extern char *name_lock_holders_of(List *relations, LOCKMODE awaited);
extern char *name_old_lock_holders(int64 task_id, int milliseconds);
extern char *name_xmin_holder(Oid relation, TransactionId horizon,
							  int64 *seconds_held);
extern char *name_stalling_transaction(Oid table, int64 milliseconds);
extern bool holder_is_old(int64 seconds_held);

#endif /* PGMAINT_BLOCKERS_H */
