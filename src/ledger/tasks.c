/*-------------------------------------------------------------------------
 *
 * tasks.c
 *	  The rows of pgmaint.tasks.
 *
 * The caller is inside a ledger scope.  All changes of a task's state take
 * LOCK_TASKS first and keep it until their commit: two workers cannot claim
 * tasks of one table at the same time, and tasks become visible as finished in
 * the order of finished_at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
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

/* limits of the tasks that one INSERT adds, in number and size */
#define TASKS_AT_ONCE 500
#define BYTES_AT_ONCE (1024 * 1024)

static void
append_field(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, ", \"%s\": ", name);
	escape_json(json, value);
}

/*
 * A planned task as a JSON object; absent fields are NULL in the row.
 */
static void
append_task(StringInfo json, const PlannedTask *task)
{
	ListCell *cell;

	appendStringInfo(json,
					 "%s{\"relation\": %u, \"disruptive\": %s, "
					 "\"relations\": [",
					 json->len > 1 ? ", " : "", task->relation,
					 task->disruptive ? "true" : "false");
	foreach (cell, task->relations)
		appendStringInfo(json, "%s%u",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 lfirst_oid(cell));
	appendStringInfoChar(json, ']');
	if (task->bytes >= 0)
		appendStringInfo(json, ", \"bytes\": %lld", (long long) task->bytes);
	if (task->predicted >= 0)
		appendStringInfo(json, ", \"predicted\": %lld",
						 (long long) task->predicted);
	if (task->evidence != NULL)
		appendStringInfo(json, ", \"evidence\": %s", task->evidence);
	append_field(json, "action", task->action);
	append_field(json, "target", task->target);
	append_field(json, "command", task->command);
	append_field(json, "reason", task->reason);
	append_field(json, "predicted_from", task->predicted_from);
	append_field(json, "held_back", task->held_back);
	appendStringInfoChar(json, '}');
}

static void
insert_tasks(int64 run_id, int step, StringInfo json)
{
	LedgerQuery query = {0};

	appendStringInfoChar(json, ']');
	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_text(&query, json->data);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.tasks (run_id, step, action, target, command, reason, "
		"evidence, relation, relations, bytes_before, disruptive, predicted, predicted_from, "
		"error, state, finished_at) "
		"SELECT $1, $2, p.action, p.target, p.command, p.reason, p.evidence, p.relation, "
		"p.relations, p.bytes, p.disruptive, "
		"p.predicted * '1 millisecond'::pg_catalog.interval, p.predicted_from, p.held_back, "
		"CASE WHEN p.held_back IS NULL THEN 'pending' ELSE 'skipped' END, "
		"CASE WHEN p.held_back IS NOT NULL THEN pg_catalog.clock_timestamp() END "
		"FROM ROWS FROM (pg_catalog.json_to_recordset($3::pg_catalog.json) "
		"AS (action pg_catalog.text, target pg_catalog.text, command pg_catalog.text, "
		"reason pg_catalog.text, evidence pg_catalog.jsonb, relation pg_catalog.oid, "
		"relations pg_catalog.oid[], bytes pg_catalog.int8, disruptive pg_catalog.bool, "
		"predicted pg_catalog.int8, predicted_from pg_catalog.text, held_back pg_catalog.text)) "
		"WITH ORDINALITY AS p ORDER BY p.ordinality");
}

/*
 * Add tasks: pending ones, or, where they are held back, skipped ones with the
 * reason.  The order of the list becomes that of task_id.
 */
void
add_tasks(int64 run_id, int step, List *tasks)
{
	StringInfoData json;
	int count = 0;
	ListCell *cell;

	initStringInfo(&json);
	foreach (cell, tasks)
	{
		const PlannedTask *task = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (task->held_back != NULL)
			lock_in_transaction(LOCK_TASKS, true);
		if (count == 0)
			appendStringInfoChar(&json, '[');
		append_task(&json, task);
		if (++count < TASKS_AT_ONCE && json.len < BYTES_AT_ONCE)
			continue;
		insert_tasks(run_id, step, &json);
		resetStringInfo(&json);
		count = 0;
	}
	if (count > 0)
		insert_tasks(run_id, step, &json);
	pfree(json.data);
}

/*
 * Claim a task, unless the run was cancelled.  The caller has found it under
 * LOCK_TASKS: see unfinished.c.
 */
bool
claim_task(int64 task_id, int worker, ClaimedTask *task)
{
	LedgerQuery query = {0};
	bool isnull;
	Datum evidence;

	bind_bigint(&query, task_id);
	bind_integer(&query, worker);
	if (ledger_query_by_index(
			&query,
			"UPDATE pgmaint.tasks t SET state = 'running', attempt = t.attempt + 1, "
			"started_at = pg_catalog.clock_timestamp(), pid = pg_catalog.pg_backend_pid(), "
			"worker = $2, not_before = NULL, sqlstate = NULL, error = NULL "
			"WHERE t.task_id = $1 AND t.state = 'pending' AND NOT EXISTS "
			"(SELECT 1 FROM pgmaint_internal.cancellations c WHERE c.run_id = t.run_id) "
			"RETURNING t.task_id, t.action, t.target, t.command, t.relation, "
			"t.attempt::int8, t.evidence, t.disruptive, "
			"coalesce(1000 * pg_catalog.extract('epoch', t.predicted), -1)::int8 AS predicted, "
			"t.predicted_from") == 0)
		return false;
	task->task_id = named_bigint(0, "task_id");
	task->action = named_text(0, "action");
	task->target = named_text(0, "target");
	task->command = named_text(0, "command");
	task->relation = named_oid(0, "relation");
	task->attempt = (int) named_bigint(0, "attempt");
	evidence = named_datum(0, "evidence", &isnull);
	task->evidence = NULL;
	if (!isnull)
		task->evidence = DatumGetJsonbPCopy(evidence);
	task->disruptive = named_boolean(0, "disruptive");
	task->predicted = named_bigint(0, "predicted");
	task->predicted_from = named_text(0, "predicted_from");
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
	bind_text(&query, outcome->description);
	bind_text(&query, outcome->shown_as);
	(void) ledger_query_by_index(
		&query,
		"UPDATE pgmaint.tasks SET state = $2, finished_at = pg_catalog.clock_timestamp(), "
		"bytes_before = coalesce($3, bytes_before), bytes_after = $4, result = $5, "
		"sqlstate = $6, error = $7, outcome = $8, shown_as = $9, pid = NULL "
		"WHERE task_id = $1 AND state = 'running'");
}

/*
 * Make a task pending again whose lock was not available.  Returns when it is
 * tried again.
 */
TimestampTz
postpone_task(int64 task_id, const TaskOutcome *outcome, int64 milliseconds)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, task_id);
	bind_text(&query, outcome->sqlstate);
	bind_text(&query, outcome->error);
	bind_double(&query, (double) milliseconds / 1000.0);
	(void) ledger_query_by_index(
		&query,
		"UPDATE pgmaint.tasks SET state = 'pending', sqlstate = $2, error = $3, pid = NULL, "
		"not_before = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4) "
		"WHERE task_id = $1 AND state = 'running' RETURNING not_before");
	return SPI_processed > 0 ? ledger_time(0, 1, 0) : 0;
}

/*
 * The highest worker number of the run so far; 0 if it had no worker.
 */
int
last_worker_of(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	(void) ledger_query_by_index(
		&query, "SELECT coalesce(pg_catalog.max(worker), 0)::int8 "
				"FROM pgmaint.tasks WHERE run_id = $1");
	return (int) ledger_bigint(0, 1);
}

/*
 * End tasks that have not begun.
 */
uint64
end_pending_tasks(int64 run_id, const char *state, const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_text(&query, state);
	bind_text(&query, error);
	return ledger_query_by_index(
		&query,
		"UPDATE pgmaint.tasks SET state = $2, error = coalesce(error || '; ', '') || $3, "
		"finished_at = pg_catalog.clock_timestamp(), not_before = NULL "
		"WHERE run_id = $1 AND state = 'pending'");
}

/*
 * A task worker has ended, and may have left one of these tasks unfinished.
 */
uint64
interrupt_tasks_of(int64 run_id, int worker, const int64 *task_ids, int count,
				   const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_bigint(&query, run_id);
	bind_integer(&query, worker);
	bind_text(&query, error);
	bind_bigints(&query, task_ids, count);
	return ledger_query_by_index(
		&query,
		"WITH stopped AS (UPDATE pgmaint.tasks SET state = 'interrupted', error = $3, pid = NULL, "
		"finished_at = pg_catalog.clock_timestamp() "
		"WHERE task_id = ANY ($4) AND state = 'running' AND worker = $2 "
		"RETURNING step, task_id, target, command) "
		"INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message) "
		"SELECT $1, s.step, s.task_id, 'failed', 'warning', s.target, "
		"pg_catalog.format('%s was interrupted: %s', s.command, $3) FROM stopped s");
}

/*
 * For a leader that finds tasks of one that has died, or that is about to end:
 * see interrupt_running_runs(), which must follow.
 */
uint64
interrupt_running_tasks(const char *error)
{
	LedgerQuery query = {0};

	lock_in_transaction(LOCK_TASKS, true);
	bind_text(&query, error);
	return ledger_query_by_index(
		&query,
		"UPDATE pgmaint.tasks t SET "
		"state = CASE t.state WHEN 'running' THEN 'interrupted' ELSE 'cancelled' END, "
		"error = CASE t.state WHEN 'running' THEN $1 ELSE $1 || ' before this task began' END, "
		"finished_at = pg_catalog.clock_timestamp(), pid = NULL, not_before = NULL "
		"WHERE t.state IN ('pending', 'running') "
		"AND t.run_id IN (SELECT r.run_id FROM pgmaint.runs r WHERE r.state = 'running')");
}

/*
 * The tasks of a run that failed or were stopped, for the error of the run; NULL
 * if there are none.  A finding records each skipped task.
 */
char *
describe_unfinished_work(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.count(*) FILTER (WHERE t.bad)::text || ' of ' || pg_catalog.count(*)::text "
		"|| ' tasks failed or were stopped: ' || pg_catalog.string_agg("
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
 * An object has another OID now: rows about it follow.
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
		"UPDATE pgmaint_internal.bloat_measurements SET relation = $2 WHERE relation = $1");
}
