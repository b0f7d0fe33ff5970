/*-------------------------------------------------------------------------
 *
 * kept_figures.h
 *	  Tables that have hardly changed since they were measured.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_KEPT_FIGURES_H
#define PGMAINT_KEPT_FIGURES_H

#include "action/action.h"

/*
 * The server's counters of rows written to a relation: w.prefix_writes,
 * w.prefix_dead_rows, and w.prefix_few, the change that is ignored, which is
 * half of the margin.
 */
#define COUNTERS(relation, prefix, margin)                                   \
	"pg_catalog.pg_stat_get_tuples_inserted(" relation                       \
	") + pg_catalog.pg_stat_get_tuples_updated(" relation                    \
	") + pg_catalog.pg_stat_get_tuples_deleted(" relation ") AS " prefix     \
	"writes, pg_catalog.pg_stat_get_dead_tuples(" relation ") AS " prefix    \
	"dead_rows, (pg_catalog.pg_stat_get_live_tuples(" relation ") * " margin \
	" / 2)::pg_catalog.int8 AS " prefix "few"

/*
 * The file nodes of a table, and the counters of rows written to it and to its
 * TOAST table: few rows may have most of the values that are stored there.
 * They are read before the table is measured: rows that are written meanwhile
 * count as a change. counted_since is when counters were last lost: a reset is
 * noted for the database, a crash for counters of the whole server only.
 */
#define STATE_OF_TABLE(table, toast, margin)                                                \
	"CROSS JOIN LATERAL (SELECT pg_catalog.jsonb_agg(x.relfilenode "                        \
	"ORDER BY x.relfilenode) AS files FROM (SELECT r.relfilenode "                          \
	"FROM pg_catalog.pg_class r WHERE r.oid IN (" table ", " toast ") "                     \
	"UNION ALL SELECT r.relfilenode FROM pg_catalog.pg_index i "                            \
	"JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid WHERE i.indrelid = " table          \
	") x) f "                                                                               \
	"CROSS JOIN LATERAL (SELECT " COUNTERS(table, "", margin) ", " COUNTERS(                \
		toast, "toast_",                                                                    \
		margin) ") w "                                                                      \
				"CROSS JOIN (SELECT coalesce(pg_catalog.extract('epoch', greatest("         \
				"pg_catalog.pg_stat_get_db_stat_reset_time(d.oid), "                        \
				"pg_catalog.pg_stat_get_bgwriter_stat_reset_time())), 0) AS counted_since " \
				"FROM pg_catalog.pg_database d "                                            \
				"WHERE d.datname = pg_catalog.current_database()) e "                       \
				"LEFT JOIN LATERAL (SELECT t.evidence AS then, t.finished_at "              \
				"FROM pgmaint.tasks t WHERE t.relation = " table                            \
				" AND t.action = 'bloat_report' "                                           \
				"AND t.state = 'succeeded' ORDER BY t.finished_at DESC LIMIT 1) p ON true "

/* the state, as keys and values of a task's evidence */
#define EVIDENCE_OF_STATE                                                    \
	"'files', f.files, 'writes', w.writes, 'dead_rows', w.dead_rows, "       \
	"'toast_writes', w.toast_writes, 'toast_dead_rows', w.toast_dead_rows, " \
	"'counted_since', e.counted_since"

/*
 * Rows that were dead by then may have been kept by a snapshot, and so not have
 * counted as bloat.
 */
#define FEW_WRITES(prefix)                                               \
	"AND w." prefix "writes BETWEEN (p.then ->> '" prefix                \
	"writes')::pg_catalog.int8 AND (p.then ->> '" prefix                 \
	"writes')::pg_catalog.int8 + w." prefix "few AND greatest(w." prefix \
	"dead_rows, (p.then ->> '" prefix                                    \
	"dead_rows')::pg_catalog.int8) <= w." prefix "few "

/*
 * Do the figures of that task still hold?  Not where the server's counters
 * were lost.
 */
#define HARDLY_CHANGED(max_age)                                               \
	"p.finished_at > pg_catalog.clock_timestamp() "                           \
	"- pg_catalog.make_interval(secs => " max_age                             \
	") AND p.then -> 'files' = f.files "                                      \
	"AND (p.then ->> 'counted_since')::pg_catalog.numeric = e.counted_since " \
	"AND (p.then ->> 'writes')::pg_catalog.int8 > 0 " FEW_WRITES("")          \
		FEW_WRITES("toast_")

extern void report_kept_figures(PlanContext *context, List *tables,
								double bloat_threshold, int64 min_size);

#endif /* PGMAINT_KEPT_FIGURES_H */
