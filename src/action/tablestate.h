/*-------------------------------------------------------------------------
 *
 * tablestate.h
 *	  The server's statistics of a table, before and after a task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TABLESTATE_H
#define PGMAINT_TABLESTATE_H

#include "datatype/timestamp.h"

typedef struct TableState
{
	int64 live_rows;
	int64 dead_rows;
	int64 modified_rows;
	TimestampTz last_vacuum; /* not autovacuum's; zero when there was none */
	TimestampTz last_analyze;
	int64 xid_age;
	Oid filenode;
	int64 pages;
	int64 all_visible_pages;
} TableState;

extern void read_table_state(Oid relation, TableState *state);
extern int64 transaction_age(Oid relation);
extern double usual_vacuum_duration(Oid relation);
extern double usual_analyze_duration(Oid relation);
extern bool nothing_was_done(Oid relation, TimestampTz before,
							 TimestampTz after);

#endif /* PGMAINT_TABLESTATE_H */
