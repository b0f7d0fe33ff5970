/*-------------------------------------------------------------------------
 *
 * statements.c
 *	  The rows of pgmaint_internal.statement_snapshots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "ledger/ledger.h"
#include "ledger/statements.h"

/*
 * Take a snapshot of pg_stat_statements, unless there is one within the
 * interval.  Returns whether there is a new snapshot.  run_id 0 stands for no
 * run.
 */
bool
snapshot_statements(int64 run_id, const char *interval)
{
	LedgerQuery query = {0};

	if (run_id == 0)
		bind_null(&query, INT8OID);
	else
		bind_bigint(&query, run_id);
	bind_text(&query, interval);
	(void) ledger_query(
		&query,
		"SELECT CASE WHEN NOT EXISTS (SELECT FROM pgmaint_internal.statement_snapshots s "
		"WHERE s.taken_at > pg_catalog.clock_timestamp() - $2::pg_catalog.interval) "
		"THEN pgmaint_internal.take_statement_snapshot($1) END");
	return ledger_bigint(0, 1) > 0;
}

/*
 * Has the run executed tasks that may change the plans of queries?
 */
bool
maintained_tables(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	return ledger_query(
			   &query,
			   "SELECT FROM pgmaint.tasks t WHERE t.run_id = $1 "
			   "AND t.state = 'succeeded' "
			   "AND pgmaint_internal.may_change_plans(t.action) LIMIT 1") > 0;
}
