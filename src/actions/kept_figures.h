/*-------------------------------------------------------------------------
 *
 * kept_figures.h
 *	  Tables that have hardly changed since they were measured.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_KEPT_FIGURES_H
#define PGMAINT_KEPT_FIGURES_H

#include "actions/action.h"

/*
 * What identifies a table's files, and what was written to it, by the server's
 * counters.  This is read before the table is measured, so that what is written
 * meanwhile counts as a change.  "few" rows are half of the margin.
 */
#define STATE_OF_TABLE(table, toast, margin)                                       \
	"CROSS JOIN LATERAL (SELECT pg_catalog.jsonb_agg(x.relfilenode "               \
	"ORDER BY x.relfilenode) AS files FROM (SELECT r.relfilenode "                 \
	"FROM pg_catalog.pg_class r WHERE r.oid IN (" table ", " toast ") "            \
	"UNION ALL SELECT r.relfilenode FROM pg_catalog.pg_index i "                   \
	"JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid WHERE i.indrelid = " table \
	") x) f "                                                                      \
	"CROSS JOIN LATERAL (SELECT pg_catalog.pg_stat_get_tuples_inserted(" table     \
	") "                                                                           \
	"+ pg_catalog.pg_stat_get_tuples_updated(" table                               \
	") + pg_catalog.pg_stat_get_tuples_deleted(" table                             \
	") AS writes, pg_catalog.pg_stat_get_dead_tuples(" table                       \
	") AS dead_rows, "                                                             \
	"(pg_catalog.pg_stat_get_live_tuples(" table ") * " margin                     \
	" / 2)::pg_catalog.int8 AS few) w "                                            \
	"LEFT JOIN LATERAL (SELECT t.evidence AS then, t.finished_at "                 \
	"FROM pgmaint.tasks t WHERE t.relation = " table                               \
	" AND t.action = 'bloat_report' "                                              \
	"AND t.state = 'succeeded' ORDER BY t.finished_at DESC LIMIT 1) p ON true "

/*
 * Do the figures of that task still hold?  Rows that were dead by then may have
 * been kept by a snapshot, and so not have counted as bloat.  Where the
 * server's counters were lost nothing is known.
 */
#define HARDLY_CHANGED(max_age)                                             \
	"p.finished_at > pg_catalog.clock_timestamp() "                         \
	"- pg_catalog.make_interval(secs => " max_age                           \
	") AND p.then -> 'files' = f.files "                                    \
	"AND (p.then ->> 'writes')::pg_catalog.int8 > 0 "                       \
	"AND w.writes BETWEEN (p.then ->> 'writes')::pg_catalog.int8 "          \
	"AND (p.then ->> 'writes')::pg_catalog.int8 + w.few "                   \
	"AND greatest(w.dead_rows, (p.then ->> 'dead_rows')::pg_catalog.int8) " \
	"<= w.few "

extern void report_kept_figures(PlanContext *context, List *tables,
								double bloat_threshold, int64 min_size);

#endif /* PGMAINT_KEPT_FIGURES_H */
