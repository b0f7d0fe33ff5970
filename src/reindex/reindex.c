/*-------------------------------------------------------------------------
 *
 * reindex.c
 *	  The action "reindex": rebuild indexes that are bloated, invalid, or older
 *	  than the version of their collation.
 *
 * The room reindex: rebuilds of indexes while their tables are in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "action/headroom.h"
#include "action/selection.h"
#include "ledger/runs.h"
#include "reindex/rebuilds.h"
#include "reindex/reindex_task.h"
#include "reindex/sample_indexes.h"

/* limit of a transaction that measures indexes */
#define SURVEY_TRANSACTION_MS 250

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	CHOICE_OPTION(
		"scope", "due, all, database", NULL,
		"due: indexes that need a rebuild (the default); all or database: every index (the default where tables are named), of system catalogs only where these are named"),
	RANGE_OPTION("bloat_threshold", OPTION_NUMBER, 0, 1, "0.3",
				 "rebuild B-trees from this bloat ratio on"),
	PLAIN_OPTION("min_size", OPTION_BYTES, "8 MB",
				 "measure B-trees of at least this size"),
	RANGE_OPTION(
		"max_margin", OPTION_NUMBER, 0.0005, 0.2, "0.03",
		"measure B-trees to this 95 % margin of the bloat ratio, 0.01 being one percentage point"),
	MIN_FREE_OPTION,
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

static bool
every_index_is_wanted(PlanContext *context)
{
	char *scope = option_text(options, context->options, "scope");

	if (scope == NULL)
		return option_given(context->options, "tables");
	return strcmp(scope, "due") != 0;
}

/*
 * The OIDs of the tables whose indexes are wanted; NULL for all.
 */
static Datum
selected_tables(PlanContext *context, bool *isnull)
{
	LedgerQuery query = {0};
	Datum tables;

	*isnull = !option_given(context->options, "tables") &&
			  !option_given(context->options, "schemas");
	if (*isnull)
		return (Datum) 0;
	bind_selection(context, &query);
	(void) ledger_query(
		&query,
		"SELECT ARRAY(SELECT c.oid FROM pg_catalog.pg_class c "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"WHERE c.relkind IN ('r', 'm') "
		"AND " SELECTION_CONDITION("c.oid", "n.nspname", "$1", "$2") ")");
	tables = ledger_datum(0, 1, isnull);
	return PointerGetDatum(PG_DETOAST_DATUM_COPY(tables));
}

static void
bind_tables(PlanContext *context, LedgerQuery *query)
{
	bool isnull;
	Datum tables = selected_tables(context, &isnull);

	if (isnull)
		bind_null(query, OIDARRAYOID);
	else
		bind_datum(query, OIDARRAYOID, tables);
}

/*
 * The indexes that must be measured to decide whether they are due.
 */
static List *
list_unmeasured(PlanContext *context)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	List *indexes = NIL;
	uint64 rows;

	ledger_begin(&scope, context->extension);
	bind_oid(&query, context->role);
	bind_datum(
		&query, INT8OID,
		Int64GetDatum(option_bytes(options, context->options, "min_size")));
	bind_tables(context, &query);
	rows = ledger_query(
		&query,
		"SELECT s.index FROM pgmaint_internal.index_states($1) s "
		"WHERE s.valid AND s.live AND s.may_reindex AND s.method = 'btree' "
		"AND s.bytes >= $2 AND NOT s.gained_nothing AND NOT s.being_built "
		"AND ($3 IS NULL OR s.owner = ANY ($3)) ORDER BY s.bytes DESC");
	for (uint64 row = 0; row < rows; row++)
		indexes = lappend_oid(indexes, ledger_oid(row, 1));
	ledger_commit(&scope);
	return indexes;
}

/*
 * Measure one index, and store its figures.
 */
static void
measure(PlanContext *context, Oid index)
{
	LedgerQuery query = {0};

	bind_bigint(&query, context->run_id);
	bind_oid(&query, index);
	bind_double(&query,
				option_number(options, context->options, "max_margin"));
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.bloat_measurements (run_id, relation, object, kind, method, "
		"total_bytes, bloat_bytes, bloat_ratio, margin, leaf_density, sampled_blocks, total_blocks) "
		"SELECT $1, b.index, pg_catalog.format('%I.%I', n.nspname, c.relname), 'index', a.amname, "
		"b.total_bytes, b.bloat_bytes, b.bloat_ratio, b.margin, b.leaf_density, "
		"b.sampled_blocks, b.total_blocks "
		"FROM pgmaint_internal.sample_indexes(ARRAY[$2], $3) b "
		"JOIN pg_catalog.pg_class c ON c.oid = b.index "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"JOIN pg_catalog.pg_am a ON a.oid = c.relam");
}

/*
 * Measure the indexes that are large enough.  There may be thousands of them:
 * many short transactions measure them, because the snapshot of a long one
 * would hold back VACUUM.
 */
static void
survey_indexes(PlanContext *context)
{
	LedgerScope scope;
	List *indexes;
	int measured = 0;

	ledger_begin(&scope, context->extension);
	forget_rebuilds(InvalidOid);
	ledger_commit(&scope);
	if (every_index_is_wanted(context))
		return;
	indexes = list_unmeasured(context);
	while (measured < list_length(indexes))
	{
		TimestampTz began = GetCurrentTimestamp();

		pgstat_report_activity(
			STATE_RUNNING,
			psprintf("pgmaint run %lld: measured %d of %d indexes",
					 (long long) context->run_id, measured,
					 list_length(indexes)));
		ledger_begin(&scope, context->extension);
		if (cancellation_requested(context->run_id))
			measured = list_length(indexes);
		while (measured < list_length(indexes) &&
			   !TimestampDifferenceExceeds(began, GetCurrentTimestamp(),
										   SURVEY_TRANSACTION_MS))
		{
			CHECK_FOR_INTERRUPTS();
			measure(context, list_nth_oid(indexes, measured++));
		}
		ledger_commit(&scope);
	}
}

/*
 * Report a leftover that only a person should drop.
 */
static void
report_leftover(PlanContext *context, const char *name, const char *reason,
				const char *command)
{
	plan_finding(
		context, "H001", "warning", unconstify(char *, name),
		psprintf(
			"%s is invalid, %s; if no session is building or dropping the index, free its space with %s",
			name, reason, command),
		NULL);
}

/*
 * Report collations whose version has changed.  Only their owner may record
 * the new version, once every index has been rebuilt.
 */
static void
report_collations(PlanContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_oid(&query, context->role);
	rows = ledger_query(
		&query,
		"SELECT v.name, v.recorded, v.actual, v.refresh, "
		"(SELECT pg_catalog.count(*) FROM pgmaint_internal.index_states($1) s "
		"JOIN pg_catalog.pg_index i ON i.indexrelid = s.index "
		"WHERE s.collations IS NOT NULL AND v.collation = ANY (i.indcollation)) AS indexes_left "
		"FROM pgmaint_internal.changed_collations() v ORDER BY v.name");
	for (uint64 row = 0; row < rows; row++)
	{
		int64 left = named_bigint(row, "indexes_left");
		char *change = psprintf(
			"%s changed from version %s to %s", named_text(row, "name"),
			named_text(row, "recorded"), named_text(row, "actual"));

		plan_finding(
			context, "collation", left > 0 ? "warning" : "info",
			named_text(row, "name"),
			left > 0
				? psprintf(
					  "%s; entries of %lld %s may be in the wrong order until a rebuild",
					  change, (long long) left,
					  left == 1 ? "index" : "indexes")
				: psprintf(
					  "%s; every index has been rebuilt since: record the new version with %s",
					  change, named_text(row, "refresh")),
			NULL);
	}
}

/*
 * Plan every index that is due, most urgent first.
 */
static void
plan_reindex(PlanContext *context)
{
	LedgerQuery query = {0};
	bool everything = every_index_is_wanted(context);
	List *left_alone = NIL;
	uint64 rows;

	if (refuse_unsafe_release(context, FIX_MAINTENANCE_AS_OWNER, "REINDEX"))
		return;
	bind_double(&query,
				option_number(options, context->options, "bloat_threshold"));
	bind_datum(
		&query, INT8OID,
		Int64GetDatum(option_bytes(options, context->options, "min_size")));
	bind_double(&query,
				option_number(options, context->options, "max_margin"));
	bind_boolean(&query, everything);
	bind_tables(context, &query);
	if (context->surveyed_since == 0)
		bind_null(&query, TIMESTAMPTZOID);
	else
		bind_datum(&query, TIMESTAMPTZOID,
				   TimestampTzGetDatum(context->surveyed_since));
	bind_oid(&query, context->role);
	rows = ledger_query(
		&query,
		"SELECT s.index AS relation, s.name AS target, v.reason, v.may_reindex, v.total_bytes AS bytes, "
		"pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('causes', v.causes, "
		"'bytes', v.total_bytes, 'bloat_bytes', v.bloat_bytes, "
		"'bloat_ratio', pg_catalog.round(v.bloat_ratio::pg_catalog.numeric, 4), "
		"'margin', pg_catalog.round(v.margin::pg_catalog.numeric, 4), "
		"'predicted_bytes', v.total_bytes - coalesce(v.bloat_bytes, 0), "
		"'concurrently', v.command ~ 'CONCURRENTLY', "
		"'leftover', 'leftover' = ANY (v.causes), 'invalid', NOT s.valid, "
		"'for_bloat', v.causes = ARRAY['bloat'] AND NOT $4))::text AS evidence, "
		"CASE WHEN s.owner = s.relation THEN ARRAY[s.relation] ELSE ARRAY[s.relation, s.owner] END AS relations, "
		"v.command, v.command ~ 'CONCURRENTLY' AS concurrently, coalesce(v.bloat_bytes, 0) AS bloat_bytes, "
		"'leftover of others' = ANY (v.causes) OR 'leftover' = ANY (v.causes) AND NOT v.may_reindex AS is_left, "
		"s.owner::pg_catalog.regclass::text AS table "
		"FROM pgmaint.reindex_candidates($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY "
		"AS v (index, relation, reason, size, bloat, bloat_ratio, margin, command, total_bytes, "
		"bloat_bytes, causes, may_reindex, nth) "
		"JOIN pgmaint_internal.index_states($7) s ON s.index = v.index "
		"WHERE NOT $4 OR pg_catalog.cardinality(v.causes) > 0 OR $5 IS NOT NULL OR s.schema <> 'pg_catalog' "
		"ORDER BY v.nth");

	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task;

		if (named_boolean(row, "is_left"))
		{
			report_leftover(context, named_text(row, "target"),
							named_text(row, "reason"),
							named_text(row, "command"));
			continue;
		}
		if (!named_boolean(row, "may_reindex"))
		{
			left_alone = list_append_unique(
				left_alone, makeString(named_text(row, "table")));
			continue;
		}
		task = task_from_row(context, "reindex", row);
		task->command = named_text(row, "command");
		task->disruptive = !named_boolean(row, "concurrently");
		task->gain_bytes = named_bigint(row, "bloat_bytes");
	}
	report_collations(context);
	if (left_alone != NIL)
	{
		List *names = NIL;
		ListCell *cell;

		foreach (cell, left_alone)
			names = lappend(names, strVal(lfirst(cell)));
		note_left_alone(context, "REINDEX", names);
	}
}

/*
 * Is there still a reason for the task, and no obstacle?
 */
static HoldBack
consider(TaskContext *context, char **reason)
{
	HoldBack hold_back = HOLD_BACK_NOTHING;
	LedgerScope scope;

	if (evidence_flag(context->task, "for_bloat"))
	{
		ledger_enter(&scope);
		hold_back = confirm_bloat(
			context->task->relation, reason,
			option_number(options, context->options, "bloat_threshold"),
			option_number(options, context->options, "max_margin"));
		ledger_leave(&scope);
	}
	if (hold_back != HOLD_BACK_NOTHING)
		return hold_back;
	return consider_reindex(
		context, reason, option_bytes(options, context->options, "min_free"));
}

DEFINE_ACTION(reindex) = {
	.name = "reindex",
	.description =
		"rebuild indexes that are bloated, invalid, or older than the version of their collation",
	.options = options,
	.repeatable = true,
	.survey = survey_indexes,
	.plan = plan_reindex,
	.consider = consider,
	.outside = perform_reindex,
	.record = record_reindex,
	.describe = describe_reindex,
	.clean_up = clean_up_reindex,
};
