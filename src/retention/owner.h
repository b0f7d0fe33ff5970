/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Acting as the owner of a table, where the owner's code may run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNER_H
#define PGMAINT_OWNER_H

#include "base/rights.h"

extern void become_table_owner(Oid owner, SavedRights *caller);
extern void fire_constraints_at_once(void);
extern uint64 execute_as_owner(Oid owner, const char *command);

#endif /* PGMAINT_OWNER_H */
