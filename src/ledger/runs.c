/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  The rows of pgmaint.runs.
 *
 * The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/settings.h"
#include "ledger/runs.h"

#define RUN_COLUMNS                                                 \
	"run_id, plan, role, requested_by, steps, current_step::int8, " \
	"(settings->>'max_workers')::int8 AS max_workers, "             \
	"(settings->>'lock_timeout')::int8 AS lock_timeout, "           \
	"(settings->>'lock_retries')::int8 AS lock_retries, "           \
	"(settings->>'worker_timeout')::int8 AS worker_timeout, "       \
	"(settings->>'clock_offset')::int8 AS clock_offset, "           \
	"coalesce((settings->>'max_wait')::int8, 600000) AS max_wait "

/*
 * Fill a Run from the only row of the last query.
 */
static void
fill_run(Run *run)
{
	bool isnull;

	run->run_id = named_bigint(0, "run_id");
	run->plan = named_text(0, "plan");
	run->role = named_oid(0, "role");
	run->requested_by = named_text(0, "requested_by");
	run->steps = DatumGetJsonbPCopy(named_datum(0, "steps", &isnull));
	run->current_step = (int) named_bigint(0, "current_step");
	run->max_workers = (int) named_bigint(0, "max_workers");
	run->lock_timeout = (int) named_bigint(0, "lock_timeout");
	run->lock_retries = (int) named_bigint(0, "lock_retries");
	run->worker_timeout = (int) named_bigint(0, "worker_timeout");
	run->clock_offset = (int) named_bigint(0, "clock_offset");
	run->max_wait = (int) named_bigint(0, "max_wait");
}

bool
read_run(int64 run_id, Run *run)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	if (ledger_query(&query, "SELECT " RUN_COLUMNS
							 "FROM pgmaint.runs WHERE run_id = $1") == 0)
		return false;
	fill_run(run);
	return true;
}

/*
 * The state of a run and its error, or NULL when there is no such run.
 */
char *
read_run_state(int64 run_id, char **error)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	if (ledger_query(&query, "SELECT state, error FROM pgmaint.runs "
							 "WHERE run_id = $1") == 0)
		return NULL;
	if (error != NULL)
		*error = ledger_text(0, 2);
	return ledger_text(0, 1);
}

void
begin_step(int64 run_id, int step)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	(void) ledger_query(
		&query, "UPDATE pgmaint.runs SET current_step = $2 WHERE run_id = $1");
}

void
end_run(int64 run_id, const char *state, const char *error)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_text(&query, state);
	bind_text(&query, error);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.runs SET state = $2, error = $3, "
		"finished_at = pg_catalog.clock_timestamp() WHERE run_id = $1");
}

/*
 * Record a failure of the run that no task shows.  The run continues, and
 * fails in the end.
 */
void
add_run_failure(int64 run_id, const char *failure)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_text(&query, failure);
	(void) ledger_query(
		&query, "UPDATE pgmaint.runs SET "
				"error = coalesce(error || '; ', '') || $2 WHERE run_id = $1");
}

void
add_cancellation(int64 run_id, const char *role_name)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_text(&query, role_name);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.cancellations (run_id, requested_by) VALUES ($1, $2)");
}

bool
cancellation_requested(int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	return ledger_query_by_index(
			   &query,
			   "SELECT 1 FROM pgmaint_internal.cancellations WHERE run_id = $1 LIMIT 1") >
		   0;
}

bool
unfinished_runs_exist(void)
{
	LedgerQuery query = {0};

	return ledger_query(&query,
						"SELECT 1 FROM pgmaint.runs "
						"WHERE state IN ('queued', 'running') LIMIT 1") > 0;
}

/*
 * To be called by a leader only, of which there is one: no other process can
 * be executing the runs that this leader did not begin.
 */
uint64
interrupt_running_runs(const char *error)
{
	LedgerQuery query = {0};

	bind_text(&query, error);
	return ledger_query(
		&query,
		"WITH stopped AS (UPDATE pgmaint.runs SET state = 'interrupted', error = $1, "
		"finished_at = pg_catalog.clock_timestamp() WHERE state = 'running' "
		"RETURNING run_id, plan, identity) "
		"INSERT INTO pgmaint.findings (run_id, check_id, severity, object, message) "
		"SELECT s.run_id, 'interrupted', 'warning', s.plan, "
		"pg_catalog.format('run %s of plan %s was interrupted: %s', s.run_id, s.plan, $1) "
		"FROM stopped s WHERE s.identity = pgmaint_internal.current_identity()");
}

/*
 * This database continues under another identity: keep the queued runs.
 */
void
keep_queued_runs(const char *identity)
{
	LedgerQuery query = {0};

	bind_text(&query, identity);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.runs SET identity = pgmaint_internal.current_identity() "
		"WHERE state = 'queued' AND identity = $1");
}

/*
 * A copy of a database has a copy of its ledger, and so has a subscriber: the
 * original executes the runs that were queued in it.  Runs of an earlier
 * version do not record where they were queued.
 */
void
interrupt_copied_runs(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"WITH stopped AS (UPDATE pgmaint.runs SET state = 'interrupted', "
		"error = CASE WHEN identity IS NULL "
		"THEN 'the run was queued by an earlier version of pgmaint: run the plan again' "
		"ELSE 'the run was queued in another database, and this database may be a copy of it' END, "
		"finished_at = pg_catalog.clock_timestamp() WHERE state = 'queued' "
		"AND identity IS DISTINCT FROM pgmaint_internal.current_identity() RETURNING run_id) "
		"UPDATE pgmaint.tasks t SET state = 'cancelled', not_before = NULL, "
		"error = 'the run began in another database', "
		"finished_at = pg_catalog.clock_timestamp() FROM stopped s "
		"WHERE t.run_id = s.run_id AND t.state = 'pending'");
}

/*
 * Queue interrupted runs again, each as a new run: work that is done already
 * is not due then.  Only once, because the run itself may be what crashes the
 * server, and not if it is a day old, or was queued again, or cancelled.
 * Another database continues its own runs.
 *
 * Only plans are resumed, which run at night: a person started an action by
 * itself and can repeat it.  The role of the run must still be allowed to
 * queue it.
 */
void
resume_interrupted_runs(void)
{
	LedgerQuery query = {0};

	bind_oid(&query, MyDatabaseId);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.runs "
		"(plan, options, requested_by, role, steps, settings, database, resumes) "
		"SELECT r.plan, r.options, a.rolname, r.role, r.steps, r.settings, r.database, r.run_id "
		"FROM pgmaint.runs r JOIN pg_catalog.pg_roles a ON a.oid = r.role "
		"WHERE r.state = 'interrupted' AND r.resumes IS NULL AND r.database = $1 "
		"AND r.identity IN (SELECT o.identity FROM pgmaint_internal.removable_identities o) "
		"AND r.started_at > pg_catalog.clock_timestamp() - '1 day'::pg_catalog.interval "
		"AND r.plan IN (SELECT d.plan FROM pgmaint.plan_definitions d "
		"UNION ALL SELECT b.plan FROM pgmaint_internal.built_in_plans() b) "
		"AND NOT EXISTS (SELECT FROM pgmaint.runs l "
		"WHERE l.plan = r.plan AND l.role = r.role AND l.run_id > r.run_id) "
		"AND NOT EXISTS (SELECT FROM pgmaint_internal.cancellations c WHERE c.run_id = r.run_id) "
		"AND (pg_catalog.has_function_privilege(r.role, "
		"'pgmaint.run(text, jsonb)', 'EXECUTE') OR "
		"pg_catalog.has_function_privilege(r.role, "
		"'pgmaint.run_and_wait(text, jsonb, bigint)', 'EXECUTE')) "
		"ORDER BY r.run_id ON CONFLICT (resumes) DO NOTHING");
}

/*
 * The age up to which the ledger keeps rows that have ended.  A subquery: with
 * clock_timestamp() in a condition the server would read all rows.
 */
#define KEPT_SINCE                          \
	"(SELECT pg_catalog.clock_timestamp() " \
	"- pg_catalog.make_interval(mins => $1))"

/*
 * Limit the growth of the ledger: runs with their tasks and findings,
 * measurements, backups that no longer exist, and resolved alerts with their
 * messages are deleted after pgmaint.keep_history.
 */
void
forget_old_runs(void)
{
	LedgerQuery query = {0};

	if (pgmaint_keep_history < 0)
		return;
	bind_integer(&query, pgmaint_keep_history);
	(void) ledger_query(
		&query,
		"WITH gone AS (DELETE FROM pgmaint.runs WHERE finished_at < " KEPT_SINCE
		"), "
		"forgotten AS (DELETE FROM pgmaint_internal.backup_records "
		"WHERE state IN ('failed', 'expired') "
		"AND coalesce(expired_at, finished_at, started_at) < " KEPT_SINCE "), "
		"resolved AS (DELETE FROM pgmaint_internal.alert_records WHERE resolved_at < " KEPT_SINCE
		"), "
		"told AS (DELETE FROM pgmaint.notifications n WHERE n.created_at < " KEPT_SINCE
		" "
		"AND n.state IN ('sent', 'given up') AND n.kind <> 'suspended' AND NOT EXISTS (SELECT FROM "
		"pgmaint_internal.notified_alerts t WHERE t.notification_id = n.notification_id)), "
		"noticed AS (DELETE FROM pgmaint.findings f WHERE f.run_id IS NULL AND f.created_at < " KEPT_SINCE
		"), "
		"answered AS (DELETE FROM pgmaint.verification_results WHERE asked_at < " KEPT_SINCE
		") "
		"DELETE FROM pgmaint_internal.bloat_measurements WHERE measured_at < " KEPT_SINCE);
}
