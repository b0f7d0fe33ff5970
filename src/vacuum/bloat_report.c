/*-------------------------------------------------------------------------
 *
 * bloat_report.c
 *	  The action "bloat_report": measure tables and indexes, keep the figures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "action/result.h"
#include "action/selection.h"
#include "base/compat.h"
#include "base/wording.h"
#include "bloat/index_bloat.h"
#include "bloat/relations.h"
#include "bloat/table_bloat.h"
#include "vacuum/kept_figures.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION("min_size", OPTION_BYTES, "8 MB",
				 "measure tables and indexes of at least this size"),
	RANGE_OPTION(
		"max_margin", OPTION_NUMBER, 0.0005, 0.2, "0.01",
		"measure tables to this 95 % margin of the bloat ratio, 0.01 being one percentage point, and indexes to twice that"),
	RANGE_OPTION(
		"bloat_threshold", OPTION_NUMBER, 0, 1, "0.4",
		"report tables and indexes from this bloat ratio on, if a rewrite would free at least min_size"),
	PLAIN_OPTION(
		"max_age", OPTION_DURATION, "30 days",
		"reuse figures up to this age for tables that have hardly changed since, unless tables are named; 0: measure all tables"),
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* the measurement of a table or of one of its indexes */
typedef struct Measurement
{
	Oid relation;
	char kind; /* RELKIND_RELATION or RELKIND_INDEX */
	char *object;
	const char *method;
	TableBloat bloat; /* for an index without live, dead and free bytes */
	bool has_density;
	double leaf_density;
} Measurement;

/*
 * The age up to which figures of tables that have hardly changed are reused.
 * Tables that are named are always measured.
 */
static double
seconds_kept(PlanContext *context)
{
	if (option_given(context->options, "tables"))
		return 0;
	return option_seconds(options, context->options, "max_age");
}

/*
 * Plan one task for each table that is large enough, or has an index that is.
 * Of the tables that have hardly changed since they were measured, only the
 * one with the oldest figures is measured.
 */
static void
plan_bloat_report(PlanContext *context)
{
	LedgerQuery query = {0};
	List *left_alone = NIL;
	List *kept = NIL;
	int64 min_size = option_bytes(options, context->options, "min_size");
	uint64 rows;

	bind_selection(context, &query);
	bind_bigint(&query, option_given(context->options, "tables") &&
								!option_given(context->options, "min_size")
							? 0
							: min_size);
	bind_oid(&query, context->role);
	bind_double(&query,
				option_number(options, context->options, "max_margin"));
	bind_double(&query, seconds_kept(context));
	rows = ledger_query(
		&query,
		"WITH sizes AS MATERIALIZED (SELECT x.oid, "
		"pgmaint_internal.file_size(x.relfilenode, x.reltablespace, x.relpages) AS bytes, x.relam "
		"FROM pg_catalog.pg_class x "
		"WHERE x.relkind IN ('r', 'm', 't', 'i') AND x.relpersistence <> 't'), "
		"indexes AS (SELECT i.indrelid, pg_catalog.max(z.bytes) AS bytes "
		"FROM pg_catalog.pg_index i JOIN sizes z ON z.oid = i.indexrelid "
		"JOIN pg_catalog.pg_am m ON m.oid = z.relam AND m.amname = 'btree' GROUP BY i.indrelid) "
		"SELECT " TARGET_TABLE ", "
		"CASE WHEN m.measured_at IS NULL THEN pg_catalog.format('%s, never measured', "
		"pg_catalog.pg_size_pretty(s.bytes)) ELSE pg_catalog.format('%s, last measured %s', "
		"pg_catalog.pg_size_pretty(s.bytes), m.measured_at::pg_catalog.date) END AS reason, "
		"pg_catalog.pg_has_role($4, 'pg_stat_scan_tables', 'USAGE') "
		"OR pg_catalog.has_table_privilege($4, c.oid, 'SELECT') "
		"OR pg_catalog.pg_has_role($4, c.relowner, 'USAGE') AS may_read, "
		"s.bytes, pg_catalog.jsonb_build_object('bytes', s.bytes, 'index_bytes', s.index_bytes, " EVIDENCE_OF_STATE
		", 'min_size', $3, 'max_margin', $5)::text AS evidence, "
		"ARRAY[c.oid] AS relations, "
		"coalesce(" HARDLY_CHANGED(
			"$6") "AND (p.then ->> 'bytes')::pg_catalog.int8 = s.bytes "
				  "AND (p.then ->> 'index_bytes')::pg_catalog.int8 = s.index_bytes "
				  "AND (p.then ->> 'min_size')::pg_catalog.int8 <= $3 "
				  "AND (p.then ->> 'max_margin')::pg_catalog.float8 <= $5, false) AS hardly_changed "
				  "FROM pg_catalog.pg_class c "
				  "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
				  "JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'heap' "
				  "JOIN sizes z ON z.oid = c.oid "
				  "LEFT JOIN sizes t ON t.oid = c.reltoastrelid "
				  "LEFT JOIN indexes i ON i.indrelid = c.oid "
				  "CROSS JOIN LATERAL (SELECT z.bytes + coalesce(t.bytes, 0) AS bytes, "
				  "coalesce(i.bytes, 0) AS index_bytes) s "
				  "LEFT JOIN LATERAL (SELECT pg_catalog.max(b.measured_at) AS measured_at "
				  "FROM pgmaint_internal.bloat_measurements b WHERE b.relation = c.oid) m ON true " STATE_OF_TABLE(
					  "c.oid", "c.reltoastrelid",
					  "$5") "WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' "
							"AND greatest(s.bytes, s.index_bytes) >= $3 "
							"AND " SELECTION_CONDITION(
								"c.oid", "n.nspname", "$1",
								"$2") "ORDER BY m.measured_at NULLS FIRST, s.bytes DESC");

	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task;

		if (!named_boolean(row, "may_read"))
		{
			left_alone = lappend(left_alone, named_text(row, "target"));
			continue;
		}
		if (row > 0 && named_boolean(row, "hardly_changed"))
		{
			kept = lappend_oid(kept, named_oid(row, "relation"));
			continue;
		}
		task = task_from_row(context, "bloat_report", row);
		task->command = psprintf("SELECT * FROM pgmaint.table_bloat(%s)",
								 quote_literal_cstr(task->target));
	}
	note_left_alone(context, "a bloat report", left_alone);
	report_kept_figures(
		context, kept,
		option_number(options, context->options, "bloat_threshold"), min_size);
}

/*
 * Store the measurements.  All rows are written at the end, because a session
 * that has written has a transaction ID, which keeps dead rows elsewhere as
 * long as its transaction is open.
 */
static void
keep_measurements(TaskContext *context, List *measurements)
{
	LedgerScope scope;
	ListCell *cell;

	ledger_enter(&scope);
	foreach (cell, measurements)
	{
		const Measurement *measured = lfirst(cell);
		bool is_table = measured->kind == RELKIND_RELATION;
		LedgerQuery query = {0};

		bind_bigint(&query, context->run_id);
		bind_oid(&query, measured->relation);
		bind_text(&query, measured->object);
		bind_text(&query, is_table ? "table" : "index");
		bind_text(&query, measured->method);
		bind_bigint(&query, measured->bloat.total_bytes);
		if (is_table)
		{
			bind_bigint(&query, measured->bloat.live_bytes);
			bind_bigint(&query, measured->bloat.dead_bytes);
			bind_bigint(&query, measured->bloat.free_bytes);
		}
		else
		{
			bind_null(&query, INT8OID);
			bind_null(&query, INT8OID);
			bind_null(&query, INT8OID);
		}
		bind_bigint(&query, measured->bloat.bloat_bytes);
		bind_double(&query, measured->bloat.bloat_ratio);
		bind_double(&query, measured->bloat.margin);
		if (measured->has_density)
			bind_double(&query, measured->leaf_density);
		else
			bind_null(&query, FLOAT8OID);
		bind_bigint(&query, measured->bloat.sampled_blocks);
		bind_bigint(&query, measured->bloat.total_blocks);
		(void) ledger_query(
			&query,
			"INSERT INTO pgmaint_internal.bloat_measurements (run_id, relation, object, kind, method, "
			"total_bytes, live_bytes, dead_bytes, free_bytes, bloat_bytes, bloat_ratio, margin, "
			"leaf_density, sampled_blocks, total_blocks) "
			"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)");
	}
	ledger_leave(&scope);
}

/*
 * Note a finding where a rewrite would free much.
 */
static void
report_bloat(TaskContext *context, const Measurement *measured)
{
	const TableBloat *bloat = &measured->bloat;
	bool is_table = measured->kind == RELKIND_RELATION;

	if (bloat->bloat_ratio <
			option_number(options, context->options, "bloat_threshold") ||
		bloat->bloat_bytes <
			option_bytes(options, context->options, "min_size"))
		return;
	note_finding(
		&context->findings, is_table ? "F004" : "F005", "warning",
		measured->object,
		psprintf("%s has %.0f %% bloat: a %s would free %s of %s",
				 is_table ? "table" : "index", 100 * bloat->bloat_ratio,
				 is_table ? "rewrite" : "rebuild",
				 size_text(bloat->bloat_bytes), size_text(bloat->total_bytes)))
		->detail = psprintf("{\"bloat_bytes\": %lld, \"total_bytes\": %lld, "
							"\"bloat_ratio\": %.4f, \"margin\": %.4f}",
							(long long) bloat->bloat_bytes,
							(long long) bloat->total_bytes, bloat->bloat_ratio,
							bloat->margin);
}

/*
 * The size from which on an index is measured: indexes of tables that are
 * named are measured whatever their size.
 */
static int64
smallest_index(Jsonb *given)
{
	if (option_given(given, "tables") && !option_given(given, "min_size"))
		return 0;
	return option_bytes(options, given, "min_size");
}

/*
 * Measure one index; NULL where it is too small or of a kind whose bloat cannot
 * be known.
 */
static Measurement *
measure_index(TaskContext *context, Oid indexid, double max_margin)
{
	Relation relation = relation_open(indexid, AccessShareLock);
	bool measurable = index_can_be_measured(relation, false) &&
					  index_bloat_can_be_known(relation);
	int64 size = (int64) RelationGetNumberOfBlocks(relation) * BLCKSZ;
	Measurement *measured;
	IndexBloat index;

	relation_close(relation, NoLock);
	if (!measurable || size < smallest_index(context->options))
		return NULL;

	/* an index costs more to measure: each entry has a row to look up */
	measure_index_bloat(indexid, 2 * max_margin, sampler_seed(), &index);
	measured = palloc0(sizeof(Measurement));
	measured->relation = indexid;
	measured->kind = RELKIND_INDEX;
	measured->object = quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(indexid)), get_rel_name(indexid));
	measured->method = index.method;
	measured->bloat.total_bytes = index.total_bytes;
	measured->bloat.bloat_bytes = index.bloat_bytes;
	measured->bloat.bloat_ratio = index.bloat_ratio;
	measured->bloat.margin = index.margin;
	measured->bloat.sampled_blocks = index.sampled_blocks;
	measured->bloat.total_blocks = index.total_blocks;
	measured->has_density = index.has_density;
	measured->leaf_density = index.leaf_density;
	return measured;
}

/*
 * Measure one table and its indexes.
 */
static void
execute_bloat_report(TaskContext *context)
{
	double max_margin = option_number(options, context->options, "max_margin");
	Measurement *table = palloc0(sizeof(Measurement));
	List *measurements = list_make1(table);
	List *indexes;
	Relation relation;
	ListCell *cell;
	int64 index_bytes = 0;

	table->relation = context->task->relation;
	table->kind = RELKIND_RELATION;
	table->object = context->task->target;
	table->method = "heap";
	measure_table_bloat(table->relation, max_margin, sampler_seed(),
						&table->bloat);

	relation = relation_open(table->relation, AccessShareLock);
	indexes = RelationGetIndexList(relation);
	relation_close(relation, NoLock);
	foreach (cell, indexes)
	{
		Measurement *index;

		CHECK_FOR_INTERRUPTS();
		index = measure_index(context, lfirst_oid(cell), max_margin);
		if (index == NULL)
			continue;
		measurements = lappend(measurements, index);
		index_bytes += index->bloat.bloat_bytes;
	}

	foreach (cell, measurements)
		report_bloat(context, lfirst(cell));
	keep_measurements(context, measurements);
	context->result = psprintf(
		"{\"bloat_bytes\": %lld, \"bloat_ratio\": %.4f, \"margin\": %.4f, "
		"\"dead_bytes\": %lld, \"sampled_blocks\": %lld, \"total_blocks\": %lld, "
		"\"indexes\": %d, \"index_bloat_bytes\": %lld}",
		(long long) table->bloat.bloat_bytes, table->bloat.bloat_ratio,
		table->bloat.margin, (long long) table->bloat.dead_bytes,
		(long long) table->bloat.sampled_blocks,
		(long long) table->bloat.total_blocks, list_length(measurements) - 1,
		(long long) index_bytes);
}

static char *
describe_bloat(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 indexes = result_number(result, "indexes");

	initStringInfo(&words);
	appendStringInfo(&words, "%s of %s are bloat (%.1f %% +/- %.1f)",
					 size_text(result_number(result, "bloat_bytes")),
					 size_text(result_number(result, "total_blocks") * BLCKSZ),
					 100 * result_fraction(result, "bloat_ratio"),
					 100 * result_fraction(result, "margin"));
	if (indexes > 0)
		add_phrase(
			&words,
			psprintf("%s in %s",
					 size_text(result_number(result, "index_bloat_bytes")),
					 counted(indexes, "index", "indexes")));
	return words.data;
}

DEFINE_ACTION(bloat_report) = {
	.name = "bloat_report",
	.description =
		"measure the bloat of tables and indexes on a sample of their blocks, and keep the figures",
	.options = options,
	.repeatable = true,
	.plan = plan_bloat_report,
	.execute = execute_bloat_report,
	.describe = describe_bloat,
};
