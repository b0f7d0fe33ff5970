/*-------------------------------------------------------------------------
 *
 * giveway.h
 *	  Locks that are held through long work, and released if another session
 *	  has waited too long for one of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_GIVEWAY_H
#define PGMAINT_GIVEWAY_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/timestamp.h"

/* between holding the locks and the end of the work */
extern void begin_giving_way(List *relations, LOCKMODE mode, List *read,
							 int timeout);
extern char *end_giving_way(void);

/* called by long work; they raise an ERROR when a session has waited too long */
extern void give_way_if_due(void);
extern TimestampTz next_look_for_waiters(void);

/* for work that cannot continue for another reason */
extern bool is_waited_for(void);
extern void give_way_at_once(void);

#endif /* PGMAINT_GIVEWAY_H */
