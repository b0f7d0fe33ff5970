/*-------------------------------------------------------------------------
 *
 * queue.c
 *	  The queue of runs.
 *
 * No statement here waits for the lock of a row: a session may keep one for as
 * long as its transaction lasts.  The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "base/settings.h"
#include "ledger/queue.h"
#include "ledger/tasks.h"

/* the settings of a run, from the parameters of add_run() */
#define WANTED_SETTINGS                                                 \
	"pg_catalog.jsonb_build_object('max_workers', $6, 'lock_timeout', " \
	"$7, 'lock_retries', $8, 'worker_timeout', $9, 'clock_offset', "    \
	"$11, 'max_wait', $12)"

/*
 * Find a queued run of the same role with the same plan, options and settings:
 * one is enough.  It must not begin before this transaction ends, whose
 * changes it has to see: the leader skips runs whose rows are locked.
 *
 * The lock is the weakest that the leader respects, so that it does not block
 * a leader that was faster.  In a transaction with one snapshot, losing that
 * race would be an ERROR.
 */
static int64
join_queued_run(LedgerQuery *query)
{
	if (IsolationUsesXactSnapshot() ||
		ledger_query(
			query,
			"SELECT r.run_id FROM pgmaint.runs r WHERE r.state = 'queued' "
			"AND r.identity = (SELECT pgmaint_internal.current_identity()) AND r.database = $10 "
			"AND r.role = $4 AND r.requested_by = $3 AND r.plan = $1 "
			"AND r.options IS NOT DISTINCT FROM $2 AND r.steps = $5 "
			"AND r.settings = " WANTED_SETTINGS
			" AND r.current_step = 0 AND r.resumes IS NULL AND NOT EXISTS "
			"(SELECT FROM pgmaint_internal.cancellations c WHERE c.run_id = r.run_id) "
			"ORDER BY r.run_id LIMIT 1 FOR KEY SHARE OF r SKIP LOCKED") == 0)
		return 0;
	return ledger_bigint(0, 1);
}

/*
 * Queue a run, or join one.  The pgmaint.* settings are those of this session,
 * so SET pgmaint.max_workers before a call takes effect.
 */
int64
add_run(const char *plan, Jsonb *options, Oid role, const char *role_name,
		Jsonb *steps, bool *joined)
{
	LedgerQuery query = {0};
	int64 run_id;

	bind_text(&query, plan);
	if (options == NULL)
		bind_null(&query, JSONBOID);
	else
		bind_datum(&query, JSONBOID, JsonbPGetDatum(options));
	bind_text(&query, role_name);
	bind_oid(&query, role);
	bind_datum(&query, JSONBOID, JsonbPGetDatum(steps));
	bind_integer(&query, pgmaint_max_workers);
	bind_integer(&query, pgmaint_lock_timeout);
	bind_integer(&query, pgmaint_lock_retries);
	bind_integer(&query, pgmaint_worker_timeout);
	bind_oid(&query, MyDatabaseId);
	bind_integer(&query, pgmaint_clock_offset);
	bind_integer(&query, pgmaint_max_wait);
	run_id = join_queued_run(&query);
	*joined = run_id != 0;
	if (*joined)
		return run_id;
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.runs (plan, options, requested_by, role, steps, settings, database) "
		"VALUES ($1, $2, $3, $4, $5, " WANTED_SETTINGS
		", $10) RETURNING run_id");
	return ledger_bigint(0, 1);
}

/* runs that this database, and no copy of it, has to begin */
#define QUEUED_HERE                  \
	"state = 'queued' AND identity " \
	"= (SELECT pgmaint_internal.current_identity()) "

/*
 * Begin the next run: roles take turns, so that many runs of one role do not
 * hold back those of others, and the runs of a role keep their order.  Runs
 * that a session has locked are skipped.  A run that begins again keeps its
 * first start.
 */
bool
take_queued_run(Run *run)
{
	LedgerQuery query = {0};
	int64 run_id;

	if (ledger_query(
			&query,
			"WITH turns AS MATERIALIZED (SELECT w.role AS of_role, "
			"(SELECT pg_catalog.max(b.started_at) FROM pgmaint.runs b "
			"WHERE b.role = w.role) AS last_begun FROM (SELECT DISTINCT q.role "
			"FROM pgmaint.runs q WHERE q.state = 'queued') w) "
			"SELECT run_id FROM pgmaint.runs JOIN turns ON of_role = role "
			"WHERE " QUEUED_HERE
			"ORDER BY last_begun NULLS FIRST, run_id LIMIT 1 "
			"FOR UPDATE OF runs SKIP LOCKED") == 0)
		return false;
	run_id = ledger_bigint(0, 1);
	bind_bigint(&query, run_id);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.runs SET state = 'running', "
		"started_at = coalesce(started_at, pg_catalog.clock_timestamp()) "
		"WHERE run_id = $1");
	return read_run(run_id, run);
}

/*
 * Would take_queued_run() find a run?
 */
bool
queued_run_can_begin(void)
{
	LedgerQuery query = {0};

	return ledger_query(&query, "SELECT FROM pgmaint.runs WHERE " QUEUED_HERE
								"LIMIT 1 FOR UPDATE SKIP LOCKED") > 0;
}

/*
 * Queue a run again that cannot continue now.  Its pending tasks stay, and one
 * finding records the reason, however often that happens.
 */
void
send_run_back(int64 run_id, int step, const char *reason)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_text(&query, reason);
	(void) ledger_query(
		&query,
		"WITH sent AS (UPDATE pgmaint.runs SET state = 'queued' WHERE run_id = $1) "
		"INSERT INTO pgmaint.findings (run_id, step, check_id, severity, message) "
		"SELECT $1, $2, 'worker_slots', 'warning', $3 WHERE NOT EXISTS "
		"(SELECT FROM pgmaint.findings f WHERE f.run_id = $1 AND f.check_id = 'worker_slots')");
}

/*
 * End a run that was cancelled while it was queued.
 */
void
end_cancelled_run(int64 run_id, bool begun)
{
	if (begun)
		(void) end_pending_tasks(
			run_id, "cancelled",
			"the run was cancelled before this task began");
	end_run(run_id, "cancelled",
			begun ? "the run was cancelled"
				  : "the run was cancelled before it began");
}

/*
 * Cancelled runs end at once, before their turn.
 */
void
end_cancelled_queued_runs(void)
{
	LedgerQuery query = {0};
	uint64 count = ledger_query_by_index(
		&query, "SELECT r.run_id, r.current_step > 0 FROM pgmaint.runs r "
				"WHERE r.state = 'queued' AND EXISTS (SELECT FROM "
				"pgmaint_internal.cancellations c WHERE c.run_id = r.run_id) "
				"FOR UPDATE OF r SKIP LOCKED");
	SPITupleTable *runs = SPI_tuptable;

	for (uint64 row = 0; row < count; row++)
	{
		int64 run_id;
		bool begun;

		SPI_tuptable = runs;
		run_id = ledger_bigint(row, 1);
		begun = ledger_boolean(row, 2);
		end_cancelled_run(run_id, begun);
	}
}
