/*-------------------------------------------------------------------------
 *
 * corruption_reach.c
 *	  How many checks the time suffices for.
 *
 * The number is meant to be too high: workers that run out of tasks leave time
 * unused, while a task too many is skipped at little cost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/settings.h"
#include "corruption/corruption_reach.h"
#include "ledger/history.h"

/*
 * No check is taken to be more than this many times as fast as the last one,
 * and one of which nothing is known to be fast.
 */
#define MARGIN 4
#define GUESSED_BYTES_PER_SECOND (1024.0 * 1024 * 1024)

/* as many are planned whatever their estimated duration */
#define FEWEST_CHECKS 100

/*
 * What any task takes beside its check is what the fastest of the last ones
 * took, and not more than 10 ms: they may all have been of large tables.  Before
 * the first one it is taken to be 2 ms.
 */
void
begin_reach(Reach *reach, PlanContext *context, double budget)
{
	LedgerQuery query = {0};
	bool isnull;

	memset(reach, 0, sizeof(*reach));
	bind_bigint(&query, context->run_id);
	bind_integer(&query, pgmaint_max_workers);
	/* by the index tasks_action, from its end */
	(void) ledger_query_by_index(
		&query,
		"SELECT coalesce((SELECT (r.settings ->> 'max_workers')::pg_catalog.int4 "
		"FROM pgmaint.runs r WHERE r.run_id = $1), $2)::pg_catalog.float8, "
		"(SELECT least(0.010, coalesce(pg_catalog.percentile_cont(0.1) WITHIN GROUP (ORDER BY h.seconds), 0.002)) "
		"FROM (SELECT pg_catalog.extract('epoch', t.finished_at - t.started_at)::pg_catalog.float8 AS seconds "
		"FROM pgmaint.tasks t WHERE t.action = 'check_corruption' AND NOT t.disruptive "
		"AND " TELLING_TASKS "AND t.relation <> 0 "
		"ORDER BY t.finished_at DESC LIMIT 200) h)::pg_catalog.float8");
	reach->limit = budget * DatumGetFloat8(ledger_datum(0, 1, &isnull));
	reach->per_task = DatumGetFloat8(ledger_datum(0, 2, &isnull));
}

bool
is_within_reach(const Reach *reach)
{
	return reach->limit == 0 || reach->checks < FEWEST_CHECKS ||
		   reach->seconds < reach->limit;
}

/*
 * Add one more check, of this many bytes and estimated seconds; negative
 * seconds: unknown.
 */
void
extend_reach(Reach *reach, int64 bytes, double seconds)
{
	reach->checks++;
	reach->seconds +=
		reach->per_task +
		(seconds < 0 ? bytes / GUESSED_BYTES_PER_SECOND : seconds / MARGIN);
}
