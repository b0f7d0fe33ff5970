/*-------------------------------------------------------------------------
 *
 * upkeep.c
 *	  Statistics of the ledger's own tables.
 *
 * During a run, ANALYZE of the ledger would see a step whose tasks are all
 * pending, or have all ended, and its statistics would be wrong a minute later.
 * So runs leave these tables to autovacuum, or, if autovacuum is off, to the
 * leader after the last run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"

#include "base/recover.h"
#include "engine/upkeep.h"
#include "exec/toplevel.h"
#include "ledger/ledger.h"

/*
 * Tables of which enough rows have changed, as a list for ANALYZE; NULL if
 * there are none.
 */
static char *
list_stale_tables(Oid extension)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *tables;

	ledger_begin(&scope, extension);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', ' "
		"ORDER BY c.relname) FROM pg_catalog.pg_class c "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"AND n.nspname IN (" OWN_SCHEMAS ") WHERE c.relkind = 'r' "
		"AND pg_catalog.pg_stat_get_mod_since_analyze(c.oid) > "
		"1000 + 0.1 * greatest(c.reltuples, 0) "
		"AND pg_catalog.current_setting('autovacuum') = 'off'");
	tables = ledger_text(0, 1);
	ledger_commit(&scope);
	return tables;
}

/*
 * The server switches to the tables' owner.  ANALYZE blocks neither reads nor
 * writes, and skips tables that are locked.  If it fails, the next leader
 * tries again.
 */
void
analyze_ledger(Oid extension)
{
	MemoryContext context = CurrentMemoryContext;

	if (ShutdownRequestPending)
		return;
	PG_TRY();
	{
		char *tables = list_stale_tables(extension);

		if (tables != NULL)
			execute_at_top_level(psprintf("ANALYZE (SKIP_LOCKED) %s", tables));
	}
	PG_CATCH();
	{
		(void) recover_from_error(context);
		QueryCancelPending = false;
	}
	PG_END_TRY();
}
