/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  The rows of pgmaint.tasks.
 *
 * The caller is inside a ledger scope.  Whatever changes the state of a task
 * takes LOCK_TASKS first and keeps it until its commit: so two workers cannot
 * claim tasks of one table at a time, and tasks become visible as finished in
 * the order of finished_at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/locks.h"
#include "ledger/tasks.h"

static void
bind_json(LedgerQuery *query, const char *json)
{
	if (json == NULL)
		bind_null(query, JSONBOID);
	else
		bind_datum(query, JSONBOID,
				   DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

static void
bind_size(LedgerQuery *query, int64 bytes)
{
	if (bytes < 0)
		bind_null(query, INT8OID);
	else
		bind_bigint(query, bytes);
}

/*
 * Milliseconds as an interval; negative ones are unknown.
 */
static void
bind_duration(LedgerQuery *query, int64 milliseconds)
{
	Interval *interval;

	if (milliseconds < 0)
	{
		bind_null(query, INTERVALOID);
		return;
	}
	interval = palloc0(sizeof(Interval));
	interval->time = milliseconds * 1000;
	bind_datum(query, INTERVALOID, IntervalPGetDatum(interval));
}

/*
 * Write down a task: to be done, or, if it is held back, why not.
 */
void
add_task(int64 run_id, int step, const PlannedTask *task)
{
	LedgerQuery query = {0};

	if (task->held_back != NULL)
		lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_text(&query, task->action);
	bind_text(&query, task->target);
	bind_text(&query, task->command);
	bind_text(&query, task->reason);
	bind_json(&query, task->evidence);
	bind_oid(&query, task->relation);
	bind_oids(&query, task->relations);
	bind_size(&query, task->bytes);
	bind_boolean(&query, task->disruptive);
	bind_duration(&query, task->predicted);
	bind_text(&query, task->predicted_from);
	bind_text(&query, task->held_back);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, "
		"evidence, relation, relations, bytes_before, disruptive, predicted, predicted_from, "
		"error, state, finished_at) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
		"CASE WHEN $14 IS NULL THEN 'pending' ELSE 'skipped' END, "
		"CASE WHEN $14 IS NOT NULL THEN pg_catalog.clock_timestamp() END)");
}

/*
 * Take the next task of a step whose time has come and whose tables nobody
 * else is working on.  Returns false when there is none just now.
 */
bool
claim_task(int64 run_id, int step, int worker, ClaimedTask *task)
{
	LedgerQuery query = {0};
	bool isnull;
	Datum evidence;

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_integer(&query, worker);
	if (ledger_query(
			&query,
			"UPDATE pgmaint.tasks t SET state = 'running', attempt = t.attempt + 1, "
			"started_at = pg_catalog.clock_timestamp(), pid = pg_catalog.pg_backend_pid(), "
			"worker = $3, not_before = NULL, sqlstate = NULL, error = NULL "
			"WHERE t.task_id = (SELECT p.task_id FROM pgmaint.tasks p "
			"WHERE p.run_id = $1 AND p.step = $2 AND p.state = 'pending' "
			"AND (p.not_before IS NULL OR p.not_before <= pg_catalog.clock_timestamp()) "
			"AND NOT EXISTS (SELECT 1 FROM pgmaint.cancellations c WHERE c.run_id = $1) "
			"AND NOT EXISTS (SELECT 1 FROM pgmaint.tasks r WHERE r.run_id = $1 "
			"AND r.step = $2 AND r.state = 'running' AND r.relations && p.relations) "
			"ORDER BY p.task_id LIMIT 1) "
			"RETURNING t.task_id, t.action, t.target, t.command, t.relation, "
			"t.attempt::int8, t.evidence, t.disruptive, "
			"coalesce(1000 * pg_catalog.extract('epoch', t.predicted), -1)::int8, "
			"t.predicted_from") == 0)
		return false;
	task->task_id = ledger_bigint(0, 1);
	task->action = ledger_text(0, 2);
	task->target = ledger_text(0, 3);
	task->command = ledger_text(0, 4);
	task->relation = ledger_oid(0, 5);
	task->attempt = (int) ledger_bigint(0, 6);
	evidence = ledger_datum(0, 7, &isnull);
	task->evidence = NULL;
	if (!isnull)
		task->evidence = DatumGetJsonbPCopy(evidence);
	task->disruptive = ledger_boolean(0, 8);
	task->predicted = ledger_bigint(0, 9);
	task->predicted_from = ledger_text(0, 10);
	return true;
}

void
finish_task(int64 task_id, const TaskOutcome *outcome)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, task_id);
	bind_text(&query, outcome->state);
	bind_size(&query, outcome->bytes_before);
	bind_size(&query, outcome->bytes_after);
	bind_json(&query, outcome->result);
	bind_text(&query, outcome->sqlstate);
	bind_text(&query, outcome->error);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.tasks SET state = $2, finished_at = pg_catalog.clock_timestamp(), "
		"bytes_before = coalesce($3, bytes_before), bytes_after = $4, result = $5, "
		"sqlstate = $6, error = $7, pid = NULL WHERE task_id = $1 AND state = 'running'");
}

/*
 * Put a task back that has given way, to be tried again after a while.
 */
void
postpone_task(int64 task_id, const TaskOutcome *outcome, int64 milliseconds)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, task_id);
	bind_text(&query, outcome->sqlstate);
	bind_text(&query, outcome->error);
	bind_double(&query, (double) milliseconds / 1000.0);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.tasks SET state = 'pending', sqlstate = $2, error = $3, pid = NULL, "
		"not_before = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4) "
		"WHERE task_id = $1 AND state = 'running'");
}

/*
 * How many tasks of a step there are to do and being done, up to a limit: the
 * question is asked often, and a step may have many thousands.
 */
void
count_tasks(int64 run_id, int step, TaskCounts *counts)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_integer(&query, TASK_COUNT_LIMIT);
	(void) ledger_query(
		&query,
		"SELECT (SELECT pg_catalog.count(*) FROM (SELECT FROM pgmaint.tasks t "
		"WHERE t.run_id = $1 AND t.step = $2 AND t.state = 'pending' LIMIT $3) p), "
		"(SELECT pg_catalog.count(*) FROM pgmaint.tasks t "
		"WHERE t.run_id = $1 AND t.step = $2 AND t.state = 'running')");
	counts->pending = ledger_bigint(0, 1);
	counts->running = ledger_bigint(0, 2);
}

/*
 * How many milliseconds until a pending task of the step may be tried again;
 * negative when none is pending.
 */
int64
time_to_next_task(int64 run_id, int step)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	(void) ledger_query(
		&query,
		"SELECT CASE WHEN pg_catalog.count(*) = 0 THEN -1 "
		"ELSE greatest(0, pg_catalog.ceil(1000 * pg_catalog.extract('epoch', "
		"pg_catalog.min(coalesce(t.not_before, pg_catalog.clock_timestamp())) "
		"- pg_catalog.clock_timestamp()))) END::int8 FROM pgmaint.tasks t "
		"WHERE t.run_id = $1 AND t.step = $2 AND t.state = 'pending'");
	return ledger_bigint(0, 1);
}

/*
 * Has this worker taken on any task?
 */
bool
worker_has_claimed(int64 run_id, int step, int worker)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_integer(&query, worker);
	return ledger_query(&query, "SELECT FROM pgmaint.tasks WHERE run_id = $1 "
								"AND step = $2 AND worker = $3 LIMIT 1") > 0;
}

/*
 * The highest number that a worker of the run had; 0 if it had none.
 */
int
last_worker_of(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	(void) ledger_query(&query,
						"SELECT coalesce(pg_catalog.max(worker), 0)::int8 "
						"FROM pgmaint.tasks WHERE run_id = $1");
	return (int) ledger_bigint(0, 1);
}

/*
 * What will not be begun any more.
 */
uint64
end_pending_tasks(int64 run_id, const char *state, const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_text(&query, state);
	bind_text(&query, error);
	return ledger_query(
		&query,
		"UPDATE pgmaint.tasks SET state = $2, error = coalesce(error || '; ', '') || $3, "
		"finished_at = pg_catalog.clock_timestamp(), not_before = NULL "
		"WHERE run_id = $1 AND state = 'pending'");
}

/*
 * A task worker is gone, and left the tasks that it had claimed.
 */
uint64
interrupt_tasks_of(int64 run_id, int worker, const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_integer(&query, worker);
	bind_text(&query, error);
	return ledger_query(
		&query,
		"WITH stopped AS (UPDATE pgmaint.tasks SET state = 'interrupted', error = $3, pid = NULL, "
		"finished_at = pg_catalog.clock_timestamp() "
		"WHERE run_id = $1 AND state = 'running' AND worker = $2 "
		"RETURNING step, task_id, target, command) "
		"INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message) "
		"SELECT $1, s.step, s.task_id, 'failed', 'warning', s.target, "
		"pg_catalog.format('%s was interrupted: %s', s.command, $3) FROM stopped s");
}

/*
 * What a leader finds that died, or leaves that dies: see
 * interrupt_running_runs(), which must follow.
 */
uint64
interrupt_running_tasks(const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_text(&query, error);
	return ledger_query(
		&query,
		"UPDATE pgmaint.tasks t SET "
		"state = CASE t.state WHEN 'running' THEN 'interrupted' ELSE 'cancelled' END, "
		"error = CASE t.state WHEN 'running' THEN $1 ELSE $1 || ' before this task began' END, "
		"finished_at = pg_catalog.clock_timestamp(), pid = NULL, not_before = NULL "
		"WHERE t.state IN ('pending', 'running') "
		"AND t.run_id IN (SELECT r.run_id FROM pgmaint.runs r WHERE r.state = 'running')");
}

/*
 * The tasks that a run did not bring to their end, for the run's error; NULL
 * when there are none.  Skipped tasks have been accounted for by a finding.
 */
char *
describe_unfinished_work(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*) FILTER (WHERE t.bad)::text || ' of ' || pg_catalog.count(*)::text "
		"|| ' tasks did not succeed: ' || pg_catalog.string_agg("
		"t.action || ' ' || t.target || ' (' || t.state || ')', ', ' ORDER BY t.task_id) "
		"FILTER (WHERE t.nth <= 10) "
		"|| CASE WHEN pg_catalog.count(*) FILTER (WHERE t.bad) > 10 THEN ', ...' ELSE '' END "
		"FROM (SELECT x.*, x.state IN ('failed', 'interrupted', 'cancelled') AS bad, "
		"CASE WHEN x.state IN ('failed', 'interrupted', 'cancelled') THEN pg_catalog.row_number() OVER "
		"(PARTITION BY x.state IN ('failed', 'interrupted', 'cancelled') ORDER BY x.task_id) END AS nth "
		"FROM pgmaint.tasks x WHERE x.run_id = $1) t HAVING pg_catalog.bool_or(t.bad)");
	if (SPI_processed == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * An object lives on under another OID: what is known of it goes along.
 */
void
follow_relation(Oid old, Oid successor)
{
	LedgerQuery query = {0};

	bind_oid(&query, old);
	bind_oid(&query, successor);
	(void) ledger_query(
		&query, "UPDATE pgmaint.tasks SET relation = $2 WHERE relation = $1");
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.bloat_measurements SET relation = $2 WHERE relation = $1");
}
