/*-------------------------------------------------------------------------
 *
 * tablestate.h
 *	  What the server knows of a table, before and after a task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TABLESTATE_H
#define PGMAINT_TABLESTATE_H

typedef struct TableState
{
	int64 live_rows;
	int64 dead_rows;
	int64 modified_rows;
	int64 vacuum_count;
	int64 analyze_count;
	int64 xid_age;
	int64 pages;
	int64 all_visible_pages;
} TableState;

extern void read_table_state(Oid relation, TableState *state);
extern int64 transaction_age(Oid relation);
extern bool count_shows_nothing_done(int64 before, int64 after);

#endif /* PGMAINT_TABLESTATE_H */
