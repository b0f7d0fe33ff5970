/*-------------------------------------------------------------------------
 *
 * connections.c
 *	  The rows of pgmaint_internal.connection_samples.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ledger/connections.h"
#include "ledger/ledger.h"

/*
 * Count the clients of the whole server, and delete samples that are older
 * than any comparison needs.  The time is a subquery: with clock_timestamp()
 * in a condition the server would read all rows.
 */
void
sample_connections(void)
{
	LedgerQuery sample = {0};
	LedgerQuery old = {0};

	(void) ledger_query(
		&sample,
		"INSERT INTO pgmaint_internal.connection_samples (connections, active, idle_in_transaction, "
		"longest_idle_in_transaction, max_connections) "
		"SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE a.state = 'active'), "
		"pg_catalog.count(*) FILTER (WHERE i.idle), "
		"pg_catalog.max(pg_catalog.clock_timestamp() - a.state_change) FILTER (WHERE i.idle), "
		"pg_catalog.current_setting('max_connections')::pg_catalog.int4 "
		"FROM pg_catalog.pg_stat_activity a "
		"CROSS JOIN LATERAL (SELECT a.state LIKE 'idle in transaction%') AS i (idle) "
		"WHERE a.backend_type = 'client backend' "
		"ON CONFLICT (sampled_at) DO NOTHING");
	(void) ledger_query(
		&old,
		"DELETE FROM pgmaint_internal.connection_samples "
		"WHERE sampled_at < (SELECT pg_catalog.clock_timestamp() - '400 days'::pg_catalog.interval)");
}
