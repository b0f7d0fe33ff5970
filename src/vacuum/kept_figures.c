/*-------------------------------------------------------------------------
 *
 * kept_figures.c
 *	  Tables that have hardly changed since they were measured.
 *
 * Most tables of most databases are not written to from one week to the next.
 * Their figures still hold, and they are not measured again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/selection.h"
#include "vacuum/kept_figures.h"

/*
 * Report when these tables were measured, and which of them, or of their
 * indexes, are bloated.  Relations renamed since appear under their new name:
 * the old one may belong to another table now.
 *
 * Each task measures the table, but no index that has become too small:
 * figures of an index that are older than those of its table belong to an
 * earlier file.
 */
void
report_kept_figures(PlanContext *context, List *tables, double bloat_threshold,
					int64 min_size)
{
	LedgerQuery query = {0};
	uint64 rows;

	if (tables == NIL)
		return;
	bind_oids(&query, tables);
	bind_double(&query, bloat_threshold);
	bind_bigint(&query, min_size);
	rows = ledger_query(
		&query,
		"WITH kept AS MATERIALIZED (SELECT m.*, m.measured_at::pg_catalog.date AS day, "
		"pg_catalog.format('%I.%I', n.nspname, c.relname) AS name "
		"FROM (SELECT t.oid, t.oid AS table_oid FROM pg_catalog.unnest($1) t (oid) "
		"UNION ALL SELECT i.indexrelid, i.indrelid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1)) o "
		"JOIN pg_catalog.pg_class c ON c.oid = o.oid "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"CROSS JOIN LATERAL (SELECT b.* FROM pgmaint_internal.bloat_measurements b WHERE b.relation = o.oid "
		"AND b.measured_at >= (SELECT pg_catalog.max(x.measured_at) FROM pgmaint_internal.bloat_measurements x "
		"WHERE x.relation = o.table_oid) ORDER BY b.measured_at DESC LIMIT 1) m) "
		"SELECT 'bloat_kept' AS check_id, 'info' AS severity, NULL AS object, "
		"pg_catalog.format('%s not measured again, because %s hardly changed since; last measured %s', "
		"CASE WHEN t.tables = 1 THEN '1 table was' ELSE t.tables || ' tables were' END, "
		"CASE WHEN t.tables = 1 THEN 'it has' ELSE 'they have' END, "
		"CASE WHEN t.first = t.last THEN 'on ' || t.first ELSE pg_catalog.format('between %s and %s', t.first, t.last) END) AS message, NULL AS detail "
		"FROM (SELECT pg_catalog.cardinality($1) AS tables, pg_catalog.min(k.day)::text AS first, "
		"pg_catalog.max(k.day)::text AS last FROM kept k) t "
		"UNION ALL (SELECT CASE k.kind WHEN 'table' THEN 'F004' ELSE 'F005' END, 'warning', k.name, "
		"pg_catalog.format('%s has %s %% bloat, measured on %s: a %s would free %s of %s', "
		"k.kind, pg_catalog.round((100 * k.bloat_ratio)::pg_catalog.numeric), k.day, "
		"CASE k.kind WHEN 'table' THEN 'rewrite' ELSE 'rebuild' END, "
		"pg_catalog.pg_size_pretty(k.bloat_bytes), pg_catalog.pg_size_pretty(k.total_bytes)), "
		"pg_catalog.jsonb_build_object('bloat_bytes', k.bloat_bytes, 'total_bytes', k.total_bytes, "
		"'bloat_ratio', pg_catalog.round(k.bloat_ratio::pg_catalog.numeric, 4), "
		"'margin', pg_catalog.round(k.margin::pg_catalog.numeric, 4), 'measured_at', k.measured_at)::text "
		"FROM kept k WHERE k.bloat_ratio >= $2 AND k.bloat_bytes >= $3 ORDER BY k.bloat_bytes DESC)");
	for (uint64 row = 0; row < rows; row++)
		plan_finding(context, named_text(row, "check_id"),
					 named_text(row, "severity"), named_text(row, "object"),
					 named_text(row, "message"), named_text(row, "detail"));
}
