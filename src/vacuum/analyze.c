/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  The action "analyze": ANALYZE of the tables whose statistics are stale.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/selection.h"
#include "base/compat.h"
#include "vacuum/gains.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	SCOPE_OPTION,
	RANGE_OPTION(
		"min_modified_rows", OPTION_INTEGER, 0, 1e15, "100",
		"analyze tables from this many changed rows on, if min_modified_ratio is reached too"),
	RANGE_OPTION(
		"min_modified_ratio", OPTION_NUMBER, 0, 1e6, "0.05",
		"analyze tables from this share of changed rows on, if min_modified_rows is reached too"),
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/*
 * Plan every table whose statistics are missing or stale, partitioned parents
 * first: up to PostgreSQL 17, ANALYZE of a parent includes its partitions,
 * which then need no tasks of their own.
 */
static void
plan_analyze(PlanContext *context)
{
	LedgerQuery query = {0};
	List *left_alone = NIL;
	uint64 rows;

	if (refuse_unsafe_release(context, FIX_MAINTENANCE_AS_OWNER, "ANALYZE"))
		return;
	bind_bigint(&query, option_integer(options, context->options,
									   "min_modified_rows"));
	bind_double(&query, option_number(options, context->options,
									  "min_modified_ratio"));
	bind_boolean(&query, scope_is_all(context, options));
	bind_oid(&query, context->role);
	bind_selection(context, &query);
	bind_bigint(&query, context->run_id);
	bind_boolean(&query, SERVER_HAS_VACUUM_ONLY);
	rows = ledger_query(
		&query,
		"WITH due AS MATERIALIZED (SELECT c.oid, c.relkind, c.relhassubclass, n.nspname, c.relname, s.* "
		"FROM pgmaint.stale_statistics($1, $2, $3, $4) WITH ORDINALITY "
		"AS s (relation, reason, estimated_rows, modified_rows, last_analyze, may_maintain, nth) "
		"JOIN pg_catalog.pg_class c ON c.oid = s.relation "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"WHERE " SELECTION_CONDITION("c.oid", "n.nspname", "$5", "$6")
		/* the leader analyzes the ledger's tables at the end of the run: upkeep.c */
		"AND ($5 IS NOT NULL OR $6 IS NOT NULL OR n.nspname NOT IN (" OWN_SCHEMAS
		")) "
		/* tables that VACUUM (ANALYZE) has analyzed in this run */
		"AND NOT EXISTS (SELECT FROM pgmaint.tasks t WHERE t.run_id = $7 "
		"AND t.relation = c.oid AND t.state = 'succeeded' AND t.result @> '{\"analyzed\": true}')) "
		"SELECT d.oid AS relation, pg_catalog.format('%I.%I', d.nspname, d.relname) AS target, d.reason, d.may_maintain, "
		"(SELECT pg_catalog.sum(pgmaint_internal.file_size(f.relfilenode, f.reltablespace, f.relpages))::pg_catalog.int8 "
		"FROM pg_catalog.pg_class f WHERE f.oid = ANY (m.relations) AND f.relkind <> 'p') AS bytes, "
		"pg_catalog.jsonb_build_object('estimated_rows', d.estimated_rows, "
		"'modified_rows', d.modified_rows, 'last_analyze', d.last_analyze)::text AS evidence, "
		"m.relations, d.relhassubclass "
		"FROM due d "
		/* pg_partition_tree() would lock all partitions */
		"CROSS JOIN LATERAL (SELECT ARRAY(WITH RECURSIVE x (member) AS (SELECT d.oid UNION ALL "
		"SELECT i.inhrelid FROM x JOIN pg_catalog.pg_inherits i ON i.inhparent = x.member "
		"WHERE d.relkind = 'p') SELECT x.member FROM x) AS relations) m "
		"WHERE $8 OR NOT EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(d.oid) a "
		"JOIN due p ON p.oid = a.relid AND p.oid <> d.oid AND p.may_maintain) "
		"ORDER BY d.relkind = 'p' DESC, d.nth");

	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task;

		if (list_member_oid(context->analyzed, named_oid(row, "relation")))
			continue;
		if (!named_boolean(row, "may_maintain"))
		{
			left_alone = lappend(left_alone, named_text(row, "target"));
			continue;
		}
		task = task_from_row(context, "analyze", row);
		task->command = psprintf(SERVER_HAS_VACUUM_ONLY &&
										 named_boolean(row, "relhassubclass")
									 ? "ANALYZE ONLY %s"
									 : "ANALYZE %s",
								 task->target);
		context->analyzed = lappend_oid(context->analyzed, task->relation);
	}
	note_left_alone(context, "ANALYZE", left_alone);
}

static HoldBack
consider_analyze(TaskContext *context, char **reason)
{
	read_table_state(context->task->relation, &context->before);
	return HOLD_BACK_NOTHING;
}

static void
record_analyze(TaskContext *context)
{
	TableState after;

	read_table_state(context->task->relation, &after);
	if (nothing_was_done(context->task->relation, context->before.last_analyze,
						 after.last_analyze))
	{
		context->not_done = "ANALYZE skipped the table";
		return;
	}
	context->result = psprintf(
		"{\"modified_rows_before\": %lld, \"modified_rows_after\": %lld, "
		"\"analyzed\": true}",
		(long long) context->before.modified_rows,
		(long long) after.modified_rows);
}

DEFINE_ACTION(analyze) = {
	.name = "analyze",
	.description =
		"run ANALYZE on tables whose statistics are missing or stale",
	.options = options,
	.repeatable = true,
	.plan = plan_analyze,
	.consider = consider_analyze,
	.record = record_analyze,
	.describe = describe_gains,
	.usual_duration = usual_analyze_duration,
};
