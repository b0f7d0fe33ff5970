/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  Markers of the databases that wait for a leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_WAITING_H
#define PGMAINT_WAITING_H

#include <time.h>

#include "nodes/pg_list.h"

typedef struct WaitingDatabase
{
	Oid database;
	Oid extension;
	time_t since;
} WaitingDatabase;

extern void mark_waiting(Oid database, Oid extension);
extern void unmark_waiting(Oid database, Oid extension);
extern void move_to_back(const WaitingDatabase *waiting);
extern List *find_waiting_databases(void);

#endif /* PGMAINT_WAITING_H */
