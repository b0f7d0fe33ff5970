/*-------------------------------------------------------------------------
 *
 * corruption_database.c
 *	  The checks of "check_corruption" for the database as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "corruption/corruption_database.h"
#include "ledger/ledger.h"

/* a sequence is critical from this used share of its values on */
#define SEQUENCE_IS_CRITICAL 0.95

/*
 * Report checksum failures of all databases, and of the objects that they
 * share, since the last run.  A counter that was reset begins again at zero.
 */
void
check_checksums(TaskContext *context)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;
	int64 fresh = 0;

	if (!DataChecksumsEnabled())
	{
		ledger_enter(&scope);
		(void) ledger_query(&query,
							"SELECT pgmaint_internal.checksums_hint()");
		note_finding(&context->findings, "checksums", "info", NULL, NULL)
			->message = psprintf(
			"data checksums are off: damage by the disk goes undetected; %s",
			ledger_text(0, 1));
		ledger_leave(&scope);
		context->result =
			"{\"enabled\": false, \"found\": \"data checksums are off\"}";
		return;
	}
	ledger_enter(&scope);
	rows = ledger_query(
		&query,
		"WITH present AS (SELECT d.datid, d.datname, d.checksum_failures, "
		"d.checksum_last_failure, d.stats_reset, "
		"CASE WHEN r.failures IS NULL OR d.checksum_failures < r.failures "
		"OR d.stats_reset IS DISTINCT FROM r.stats_reset "
		"THEN d.checksum_failures ELSE d.checksum_failures - r.failures END AS fresh, r.read_at "
		"FROM pg_catalog.pg_stat_database d "
		"LEFT JOIN pgmaint_internal.checksum_readings r ON r.database_id = d.datid "
		"WHERE d.checksum_failures IS NOT NULL), "
		"gone AS (DELETE FROM pgmaint_internal.checksum_readings g "
		"WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_database d WHERE d.datid = g.database_id)), "
		"kept AS (INSERT INTO pgmaint_internal.checksum_readings AS k "
		"(database_id, database, failures, last_failure, stats_reset) "
		"SELECT p.datid, p.datname, p.checksum_failures, p.checksum_last_failure, p.stats_reset FROM present p "
		"ON CONFLICT (database_id) DO UPDATE SET database = excluded.database, "
		"failures = excluded.failures, last_failure = excluded.last_failure, "
		"stats_reset = excluded.stats_reset, read_at = excluded.read_at) "
		"SELECT coalesce('database ' || pg_catalog.quote_ident(p.datname), 'the objects that all databases share') AS place, "
		"p.fresh, p.checksum_failures, coalesce(p.checksum_last_failure::pg_catalog.timestamptz(0)::pg_catalog.text, 'an unknown time') AS last_failure, "
		"coalesce('since ' || p.read_at::pg_catalog.timestamptz(0)::pg_catalog.text, 'so far') AS since, "
		"pg_catalog.jsonb_build_object('new', p.fresh, 'failures', p.checksum_failures, "
		"'last_failure', p.checksum_last_failure, 'last_reading', p.read_at)::pg_catalog.text AS detail, p.datname::pg_catalog.text "
		"FROM present p WHERE p.fresh > 0 ORDER BY p.datname NULLS FIRST");
	for (uint64 row = 0; row < rows; row++)
	{
		PlannedFinding *finding = note_finding(&context->findings, "checksums",
											   "critical", NULL, NULL);

		fresh += named_bigint(row, "fresh");
		finding->object = named_text(row, "datname");
		finding->message = psprintf(
			"%lld checksum failures in %s %s, the last at %s: the disk returned other data than was written; the server log names the blocks",
			(long long) named_bigint(row, "fresh"), named_text(row, "place"),
			named_text(row, "since"), named_text(row, "last_failure"));
		finding->detail = named_text(row, "detail");
	}
	ledger_leave(&scope);
	context->result = psprintf(
		"{\"enabled\": true, \"new_failures\": %lld, \"found\": \"%s\"}",
		(long long) fresh,
		fresh == 0
			? "no new checksum failure"
			: psprintf("%lld new checksum failures", (long long) fresh));
	if (fresh > 0)
	{
		context->failure =
			psprintf("%lld new checksum failures", (long long) fresh);
		context->failure_state = ERRCODE_DATA_CORRUPTED;
	}
}

/*
 * Report sequences that will soon have no values left.
 */
void
check_sequences(TaskContext *context, double threshold)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;
	int64 near = 0;
	int64 all;

	ledger_enter(&scope);
	bind_double(&query, threshold);
	rows = ledger_query(
		&query,
		"SELECT u.sequence::pg_catalog.text, "
		"pg_catalog.round(100 * u.used_ratio, 1)::pg_catalog.text AS percent, u.values_left::pg_catalog.text, "
		"u.used_ratio >= $1::pg_catalog.numeric AND NOT u.cycles AS is_near_end, u.used_ratio::pg_catalog.float8, "
		"CASE WHEN u.type_name IN ('smallint', 'integer') "
		"THEN pg_catalog.format(' for column %I of %s, which is of type %s; plan now to execute ALTER TABLE %s ALTER COLUMN %I TYPE bigint, which rewrites and locks the table, and ALTER SEQUENCE %s AS bigint', "
		"u.\"column\", u.\"table\", u.type_name, u.\"table\", u.\"column\", u.sequence) "
		"ELSE pg_catalog.format(' up to %s; extend the sequence with ALTER SEQUENCE %s AS bigint NO MAXVALUE NO MINVALUE', "
		"u.last_possible, u.sequence) END AS advice, "
		"pg_catalog.jsonb_build_object('last_value', u.last_value, 'last_possible', u.last_possible, "
		"'used_ratio', u.used_ratio, 'values_left', u.values_left, 'table', u.\"table\"::pg_catalog.text, "
		"'column', u.\"column\", 'type', u.type_name)::pg_catalog.text AS detail "
		"FROM pgmaint.sequence_usage u");
	all = (int64) rows;
	for (uint64 row = 0; row < rows; row++)
	{
		PlannedFinding *finding;
		bool isnull;
		double used = DatumGetFloat8(named_datum(row, "used_ratio", &isnull));

		if (!named_boolean(row, "is_near_end"))
			continue;
		near++;
		finding = note_finding(
			&context->findings, "sequences",
			used >= SEQUENCE_IS_CRITICAL ? "critical" : "warning", NULL, NULL);
		finding->object = named_text(row, "sequence");
		finding->message = psprintf(
			"sequence %s has used %s %% of its values; %s values are left%s",
			named_text(row, "sequence"), named_text(row, "percent"),
			named_text(row, "values_left"), named_text(row, "advice"));
		finding->detail = named_text(row, "detail");
	}
	ledger_leave(&scope);
	context->result = psprintf(
		"{\"sequences\": %lld, \"near_end\": %lld, \"found\": \"%lld of %lld sequences near their end\"}",
		(long long) all, (long long) near, (long long) near, (long long) all);
}

/*
 * Report constraints that were never validated: only rows written since are
 * known to satisfy them.
 */
void
check_constraints(TaskContext *context)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;

	ledger_enter(&scope);
	rows = ledger_query(
		&query,
		"SELECT u.relation::pg_catalog.text, pg_catalog.quote_ident(u.\"constraint\") AS name, u.kind, u.command "
		"FROM pgmaint.unvalidated_constraints u");
	for (uint64 row = 0; row < rows; row++)
	{
		PlannedFinding *finding = note_finding(
			&context->findings, "constraints", "warning", NULL, NULL);

		finding->object = named_text(row, "relation");
		finding->message = psprintf(
			"%s constraint %s of %s was never validated: older rows may violate it; validate it with %s, which reads the table and does not block writers",
			named_text(row, "kind"), named_text(row, "name"),
			named_text(row, "relation"), named_text(row, "command"));
	}
	ledger_leave(&scope);
	context->result =
		psprintf("{\"unvalidated\": %lld, \"found\": \"%lld constraints were "
				 "never validated\"}",
				 (long long) rows, (long long) rows);
}

/*
 * In how many runs all relations are checked, if later runs check as many as
 * this one.
 */
static char *
describe_pace(int64 left, int64 reached)
{
	int64 runs;

	if (reached == 0)
		return "no check began in this run";
	runs = (left + reached - 1) / reached;
	return psprintf(
		"at the pace of this run, all are checked within %lld more %s",
		(long long) runs, runs == 1 ? "run" : "runs");
}

/*
 * Report the coverage of the checks over all runs, and drop the results of
 * dropped relations.
 */
void
sum_up_checks(TaskContext *context)
{
	LedgerQuery step_query = {0};
	LedgerQuery query = {0};
	LedgerScope scope;
	int64 beyond_budget =
		(int64) evidence_number(context->task, "beyond_budget", 0);
	int64 left;
	int64 reached;
	char *summary;

	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint_internal.corruption_results r "
		"WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = r.relation)");
	bind_bigint(&step_query, context->run_id);
	bind_bigint(&step_query, context->task->task_id);
	(void) ledger_query(
		&step_query,
		"SELECT pg_catalog.count(*) FILTER (WHERE t.state IN ('skipped', 'pending') "
		"OR (t.result ->> 'next_block')::pg_catalog.int8 < (t.result ->> 'blocks')::pg_catalog.int8), "
		"pg_catalog.count(*) FILTER (WHERE t.state NOT IN ('skipped', 'pending')) "
		"FROM pgmaint.tasks t WHERE t.run_id = $1 "
		"AND t.step = (SELECT x.step FROM pgmaint.tasks x WHERE x.task_id = $2) "
		"AND t.relation <> 0");
	left = beyond_budget + ledger_bigint(0, 1);
	reached = ledger_bigint(0, 2);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.format('%s of %s tables and indexes were proven sound%s', "
		"pg_catalog.count(*) FILTER (WHERE k.outcome = 'sound'), pg_catalog.count(*), "
		"', the least recently on ' || pg_catalog.min(k.last_verified) "
		"FILTER (WHERE k.outcome = 'sound')::pg_catalog.date) "
		"FROM pgmaint.corruption_checks k WHERE k.method IN ('heap', 'btree')");
	summary = ledger_text(0, 1);
	ledger_leave(&scope);
	if (left > 0)
		note_finding(&context->findings, "corruption", "info", NULL, NULL)
			->message = psprintf(
			"%lld tables and indexes were left for the next run, which begins with the least recently checked; %s; so far, %s",
			(long long) left, describe_pace(left, reached), summary);
	context->result =
		psprintf("{\"left\": %lld, \"beyond_budget\": %lld, \"reached\": "
				 "%lld, \"found\": \"%s\"}",
				 (long long) left, (long long) beyond_budget,
				 (long long) reached, summary);
}
