/*-------------------------------------------------------------------------
 *
 * statements.h
 *	  Snapshots of the statistics of pg_stat_statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STATEMENTS_H
#define PGMAINT_STATEMENTS_H

/* in a ledger scope */
extern bool snapshot_statements(int64 run_id, const char *interval);
extern bool maintained_tables(int64 run_id);

#endif /* PGMAINT_STATEMENTS_H */
