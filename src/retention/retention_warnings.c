/*-------------------------------------------------------------------------
 *
 * retention_warnings.c
 *	  Warnings of every run about retention policies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/selection.h"
#include "retention/retention_warnings.h"
#include "retention/timezone.h"

/*
 * Warn of archives that are lost with this server's data directory.
 */
static void
warn_of_local_archives(PlanContext *context)
{
	LedgerQuery query = {0};

	if (ledger_query(
			&query,
			"SELECT p.storage::text, pg_catalog.string_agg(p.policy_id::text, ', ' ORDER BY p.policy_id) AS policies, "
			"pg_catalog.count(*) > 1 AS are_several FROM pgmaint.retention_policies p "
			"WHERE p.storage = 'pgmaint_local' GROUP BY p.storage") == 0)
		return;
	plan_finding(
		context, "retention", "warning", named_text(0, "storage"),
		psprintf("retention %s %s to storage pgmaint_local, which is below "
				 "the data directory of this server: standbys do not have "
				 "these archives, pg_upgrade does not copy them, and "
				 "pg_rewind removes them; create another storage, drop the "
				 "%s and add %s again with that storage",
				 psprintf(named_boolean(0, "are_several") ? "policies %s"
														  : "policy %s",
						  named_text(0, "policies")),
				 named_boolean(0, "are_several") ? "archive" : "archives",
				 named_boolean(0, "are_several") ? "policies" : "policy",
				 named_boolean(0, "are_several") ? "them" : "it"),
		NULL);
}

/*
 * Warn of policies without a time zone, restored from a dump of an earlier
 * version: they use the time zone of the server, which the command stores.
 */
static void
warn_without_timezone(PlanContext *context)
{
	LedgerQuery query = {0};
	uint64 rows = ledger_query(
		&query,
		"SELECT p.relation::text, pg_catalog.format('retention policy %s stores no time zone and uses the time zone of the server; to store one: SELECT pgmaint.drop_retention(%s); "
		"SELECT pgmaint.add_retention(%L, %L, %L, %L, %L, %L, %L, %L, %L, timezone => %L, "
		"pass_triggers => %L)', p.policy_id, p.policy_id, p.relation, p.time_column, p.keep, "
		"p.filter, p.archive, p.storage, p.compression, p.compression_level, p.slice, " SERVER_TIMEZONE
		", p.pass_triggers) FROM pgmaint.retention_policies p "
		"WHERE p.timezone IS NULL ORDER BY p.policy_id");

	for (uint64 row = 0; row < rows; row++)
		plan_finding(context, "retention", "warning", ledger_text(row, 1),
					 ledger_text(row, 2), NULL);
}

void
plan_retention_warnings(PlanContext *context)
{
	warn_of_local_archives(context);
	warn_without_timezone(context);
}
