/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  The rows of pgmaint.findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "ledger/findings.h"

/*
 * Record a finding.  run_id 0 stands for no run, step 0 for none of its steps,
 * task_id 0 for no task; object and detail, a JSON object, may be NULL.  The
 * caller is inside a ledger scope.
 */
void
add_finding(int64 run_id, int step, int64 task_id, const char *check_id,
			const char *severity, const char *object, const char *message,
			const char *detail)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_bigint(&query, task_id);
	bind_text(&query, check_id);
	bind_text(&query, severity);
	bind_text(&query, object);
	bind_text(&query, message);
	bind_text(&query, detail);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.findings (run_id, step, task_id, check_id, severity, object, message, detail) "
		"VALUES (nullif($1, 0), nullif($2, 0), nullif($3, 0), $4, $5, $6, $7, $8::jsonb)");
}

/*
 * Record the failure of a run that no task shows; step 0 if no step has begun.
 */
void
add_failed_run(int64 run_id, int step, const char *error)
{
	LedgerQuery query = {0};

	bind_bigint(&query, run_id);
	bind_integer(&query, step);
	bind_text(&query, error);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.findings (run_id, step, check_id, severity, object, message) "
		"SELECT r.run_id, nullif($2, 0), 'failed', 'warning', r.plan, "
		"pg_catalog.concat('run ', r.run_id, ' of plan ', r.plan, ' failed', "
		"' in step ' || nullif($2, 0) || ', ' || (r.steps -> ($2 - 1) ->> 'action'), "
		"': ', $3) FROM pgmaint.runs r WHERE r.run_id = $1");
}
