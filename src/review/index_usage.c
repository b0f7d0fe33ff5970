/*-------------------------------------------------------------------------
 *
 * index_usage.c
 *	  The action "index_usage": reports the rows of pgmaint.index_usage() as
 *	  findings, and stores the scan counters of indexes for the next run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "action/action.h"
#include "action/result.h"
#include "base/wording.h"

static const ActionOption options[] = {
	PLAIN_OPTION("unused_for", OPTION_DURATION, "30 days",
				 "report indexes that were not used for this long"),
	PLAIN_OPTION(
		"min_size", OPTION_BYTES, "1 MB",
		"report no unused indexes smaller than this, and no foreign keys of smaller tables"),
	END_OF_OPTIONS,
};

static void
plan_index_usage(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "index_usage";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = "SELECT * FROM pgmaint.index_usage()";
	task->reason =
		"search for invalid, unused and redundant indexes, and for foreign keys without an index";
	task->bytes = -1;
	context->tasks = list_make1(task);
}

/*
 * One finding for each kind, with a list of its indexes: one finding for each
 * index would be too many.
 */
static void
execute_index_usage(TaskContext *context)
{
	LedgerQuery query = {0};
	LedgerQuery none = {0};
	LedgerScope scope;
	int64 found = 0;
	uint64 rows;

	ledger_enter(&scope);
	bind_double(&query,
				option_seconds(options, context->options, "unused_for"));
	bind_bigint(&query, option_bytes(options, context->options, "min_size"));
	rows = ledger_query(
		&query,
		"SELECT u.check_id, CASE WHEN u.check_id IN ('H001', 'H003') THEN 'warning' ELSE 'info' END AS severity, "
		"pg_catalog.concat(s.summary, ': ', u.list) AS message, "
		"pg_catalog.jsonb_build_object('summary', s.summary, 'objects', u.objects)::text AS detail, u.number "
		"FROM (SELECT x.check_id, pg_catalog.count(*) AS number, pg_catalog.sum(x.bytes) AS bytes, "
		"pg_catalog.string_agg(CASE WHEN x.nth <= 10 THEN coalesce(x.index, x.relation::text) || ' (' || x.detail || ')' END, '; ' ORDER BY x.nth) "
		"|| CASE WHEN pg_catalog.count(*) > 10 THEN pg_catalog.format('; and %s more', pg_catalog.count(*) - 10) ELSE '' END AS list, "
		"pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
		"'kind', x.kind, 'relation', x.relation::text, 'index', x.index, 'bytes', x.bytes, 'detail', x.detail, "
		"'command', x.command) ORDER BY x.nth) AS objects "
		"FROM (SELECT y.*, pg_catalog.row_number() OVER (PARTITION BY y.check_id ORDER BY y.bytes DESC NULLS LAST, y.index) AS nth "
		"FROM pgmaint.index_usage(pg_catalog.make_interval(secs => $1), $2) y) x GROUP BY x.check_id) u "
		"CROSS JOIN LATERAL (SELECT pg_catalog.format(CASE u.check_id "
		"WHEN 'H001' THEN '%s invalid %s, which no session is building' "
		"WHEN 'H002' THEN '%s unused %s, %s in all' "
		"WHEN 'H003' THEN '%s foreign %s without an index' "
		"ELSE '%s %s, %s in all, which other indexes can replace' END, u.number, "
		"CASE WHEN u.check_id = 'H003' THEN 'key' ELSE 'index' END "
		"|| CASE WHEN u.number = 1 THEN '' WHEN u.check_id = 'H003' THEN 's' ELSE 'es' END, "
		"pg_catalog.pg_size_pretty(u.bytes)) AS summary) s ORDER BY u.check_id");
	for (uint64 row = 0; row < rows; row++)
	{
		note_finding(&context->findings, named_text(row, "check_id"),
					 named_text(row, "severity"), NULL,
					 named_text(row, "message"))
			->detail = named_text(row, "detail");
		found += named_bigint(row, "number");
	}
	(void) ledger_query(&none, "SELECT pgmaint_internal.take_index_scans()");
	context->result =
		psprintf("{\"indexes\": %lld, \"found\": %lld}",
				 (long long) ledger_bigint(0, 1), (long long) found);
	ledger_leave(&scope);
}

static char *
describe_index_usage(const ClaimedTask *task, Jsonb *result)
{
	int64 found = result_number(result, "found");

	return psprintf(
		"%s examined, %s to review",
		counted(result_number(result, "indexes"), "index", "indexes"),
		found == 0 ? "none" : count_text(found));
}

DEFINE_ACTION(index_usage) = {
	.name = "index_usage",
	.description =
		"report invalid, unused and redundant indexes, and foreign keys without an index, as pgmaint.index_usage() lists them",
	.options = options,
	.repeatable = true,
	.plan = plan_index_usage,
	.execute = execute_index_usage,
	.describe = describe_index_usage,
	.shown_as = SHOWN_WITH_STEP,
};
