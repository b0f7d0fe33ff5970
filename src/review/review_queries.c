/*-------------------------------------------------------------------------
 *
 * review_queries.c
 *	  The action "review_queries": reports queries that became slower after
 *	  maintenance, and stores the plans of the slowest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "action/action.h"
#include "action/result.h"
#include "base/wording.h"
#include "exec/as_role.h"
#include "exec/generic_plan.h"
#include "ledger/statements.h"
#include "review/reasons.h"

static const ActionOption options[] = {
	RANGE_OPTION(
		"plans", OPTION_INTEGER, 0, 500, "20",
		"store the plans of this many queries, those that took most time in the last week"),
	RANGE_OPTION(
		"degradation_factor", OPTION_NUMBER, 1.1, 1000, "2",
		"report queries whose mean time is more than this many times the one before the last maintenance"),
	RANGE_OPTION("critical_factor", OPTION_NUMBER, 1.1, 100000, "10",
				 "make the finding critical from this factor on"),
	RANGE_OPTION(
		"min_calls", OPTION_INTEGER, 1, 1000000000, "20",
		"compare queries with at least this many calls, both before the maintenance and since"),
	PLAIN_OPTION(
		"min_mean", OPTION_DURATION, "5 ms",
		"report queries with at least this mean time since the maintenance"),
	END_OF_OPTIONS,
};

/* a query that is to be planned */
typedef struct ReviewedQuery
{
	Oid role; /* that executed it */
	int64 query_id;
	char *text;		   /* NULL: not known */
	char *search_path; /* that sessions of the role begin with */
	char *plan;		   /* JSON; NULL: none */
} ReviewedQuery;

static char *
reason_of_absence(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(&query,
						"SELECT pgmaint_internal.statements_missing()");
	return ledger_text(0, 1);
}

static void
plan_review_queries(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	char *missing = reason_of_absence();

	task->action = "review_queries";
	task->target = "queries";
	task->command = "SELECT * FROM pgmaint.slow_queries()";
	task->reason =
		missing != NULL
			? missing
			: "search for queries that became slower, and store plans";
	task->bytes = -1;
	context->tasks = list_make1(task);
}

/*
 * Findings name queries by their ids: roles that may read findings may not be
 * allowed to read queries of other roles.  Returns their number.
 */
static uint64
note_degradation(TaskContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_double(&query, option_number(options, context->options,
									  "degradation_factor"));
	bind_bigint(&query,
				option_integer(options, context->options, "min_calls"));
	bind_double(&query,
				1000 * option_seconds(options, context->options, "min_mean"));
	bind_double(&query,
				option_number(options, context->options, "critical_factor"));
	rows = ledger_query(
		&query,
		"SELECT CASE WHEN d.times >= $4 THEN 'critical' ELSE 'warning' END AS severity, "
		"pg_catalog.format('query %s', d.queryid) AS object, "
		"pg_catalog.format('a query of role %s has taken %s ms on average since run %s (%s) maintained tables, %s times the %s ms before: %s calls since then, %s before; ', "
		"pg_catalog.quote_ident(d.role), d.mean_ms, d.run_id, r.plan, d.times, d.mean_before_ms, d.calls, d.calls_before) "
		"|| CASE pg_catalog.cardinality(d.tasks) WHEN 0 THEN 'the run maintained no table that the query names' "
		"ELSE 'maintenance of its tables: ' || pg_catalog.array_to_string(d.tasks[:5], ', ') "
		"|| CASE WHEN pg_catalog.cardinality(d.tasks) > 5 THEN pg_catalog.format(' and %s more', "
		"pg_catalog.cardinality(d.tasks) - 5) ELSE '' END END AS message, "
		"pg_catalog.jsonb_build_object('queryid', d.queryid, 'role', d.role, 'mean_before_ms', d.mean_before_ms, "
		"'mean_ms', d.mean_ms, 'times', d.times, 'calls_before', d.calls_before, 'calls', d.calls, "
		"'maintained_by', d.run_id, 'maintained_at', d.maintained_at, 'tasks', d.tasks, 'look_at', "
		"pg_catalog.format('SELECT * FROM pgmaint_internal.statement_texts WHERE queryid = %s', d.queryid))::pg_catalog.text AS detail "
		"FROM pgmaint.degraded_queries($1, $2, $3) d JOIN pgmaint.runs r ON r.run_id = d.run_id");
	for (uint64 row = 0; row < rows; row++)
		note_finding(&context->findings, "degradation",
					 named_text(row, "severity"), named_text(row, "object"),
					 named_text(row, "message"))
			->detail = named_text(row, "detail");
	return rows;
}

/*
 * The queries that took most time.  Some of them will have no plan, so more
 * are returned than asked for.
 */
static List *
worst_queries(int64 wanted)
{
	LedgerQuery query = {0};
	List *queries = NIL;
	uint64 rows;

	bind_bigint(&query, 5 * wanted);
	rows = ledger_query(
		&query,
		"SELECT c.userid, c.queryid, pg_catalog.max(c.query) AS query, "
		"pgmaint_internal.search_path_of(c.userid) AS search_path "
		"FROM pgmaint_internal.statement_changes((SELECT s.snapshot_id FROM pgmaint_internal.statement_snapshots s "
		"WHERE s.taken_at <= pg_catalog.clock_timestamp() - '7 days'::pg_catalog.interval "
		"ORDER BY s.taken_at DESC LIMIT 1), NULL) c "
		"JOIN pg_catalog.pg_authid a ON a.oid = c.userid "
		"WHERE NOT pgmaint_internal.is_own_statement(c.query) "
		"GROUP BY c.userid, c.queryid "
		"ORDER BY pg_catalog.sum(c.total_ms) DESC, c.queryid LIMIT $1");
	for (uint64 row = 0; row < rows; row++)
	{
		ReviewedQuery *reviewed = palloc0(sizeof(ReviewedQuery));

		reviewed->role = named_oid(row, "userid");
		reviewed->query_id = named_bigint(row, "queryid");
		reviewed->text = named_text(row, "query");
		reviewed->search_path = named_text(row, "search_path");
		queries = lappend(queries, reviewed);
	}
	return queries;
}

static void
make_plan(void *argument)
{
	ReviewedQuery *query = argument;

	query->plan = generic_plan_of(query->text);
}

/*
 * Plan a query; returns the reason why it has no plan, or NULL.
 */
static char *
try_to_plan(ReviewedQuery *query)
{
	if (query->text == NULL)
		return "pg_stat_statements has no text of the query";
	if (!has_privs_of_role(GetUserId(), query->role))
		return psprintf("permission denied to plan queries of role \"%s\"",
						NameStr(*DatumGetName(DirectFunctionCall1(
							pg_get_userbyid, ObjectIdGetDatum(query->role)))));
	return try_as_role(query->role, query->search_path, make_plan, query);
}

/*
 * Store a plan, and report where it differs from the one before.
 */
static bool
keep_plan(TaskContext *context, const ReviewedQuery *reviewed)
{
	LedgerQuery query = {0};

	bind_bigint(&query, reviewed->query_id);
	bind_oid(&query, reviewed->role);
	bind_text(&query, reviewed->text);
	bind_text(&query, reviewed->plan);
	bind_bigint(&query, context->run_id);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.format('query %s', $1) AS object, "
			"pg_catalog.format('the plan of a query of role %s has changed since %s: its estimated cost was %s and is now %s', "
			"pg_catalog.quote_ident(pg_catalog.pg_get_userbyid($2)), "
			"pg_catalog.date_trunc('second', k.changed_since), k.cost_before, k.cost) AS message, "
			"pg_catalog.jsonb_build_object('queryid', $1, 'before', k.outline_before, 'now', k.outline)::pg_catalog.text AS detail "
			"FROM pgmaint_internal.keep_query_plan($1, $2, $3, $4::pg_catalog.jsonb, $5) k "
			"WHERE k.changed_since IS NOT NULL") == 0)
		return false;
	note_finding(&context->findings, "plan_changed", "info",
				 named_text(0, "object"), named_text(0, "message"))
		->detail = named_text(0, "detail");
	return true;
}

static void
execute_review_queries(TaskContext *context)
{
	int64 wanted = option_integer(options, context->options, "plans");
	LedgerScope scope;
	List *queries;
	List *planned = NIL;
	List *reasons = NIL;
	ListCell *cell;
	char *missing;
	uint64 degraded;
	int changed = 0;

	ledger_enter(&scope);
	missing = reason_of_absence();
	if (missing != NULL)
	{
		ledger_leave(&scope);
		(void) note_finding(
			&context->findings, "slow_queries", "info",
			pstrdup("pg_stat_statements"),
			psprintf("queries cannot be reviewed: %s", missing));
		context->result = pstrdup("{\"queries\": 0}");
		return;
	}
	(void) snapshot_statements(context->run_id, "0");
	degraded = note_degradation(context);
	queries = worst_queries(wanted);
	ledger_leave(&scope);

	foreach (cell, queries)
	{
		char *reason;

		CHECK_FOR_INTERRUPTS();
		if (list_length(planned) >= wanted)
			break;
		reason = try_to_plan(lfirst(cell));
		if (reason == NULL)
			planned = lappend(planned, lfirst(cell));
		else
			reasons = lappend(reasons, reason);
	}

	ledger_enter(&scope);
	foreach (cell, planned)
		changed += keep_plan(context, lfirst(cell));
	ledger_leave(&scope);
	context->result =
		psprintf("{\"queries\": %d, \"plans\": %d, \"plans_changed\": %d, "
				 "\"degraded\": %lld, \"not_planned\": %s, \"remarks\": %s}",
				 list_length(planned) + list_length(reasons),
				 list_length(planned), changed, (long long) degraded,
				 count_reasons(reasons), remarks_on_reasons(reasons));
}

static char *
describe_review(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 changed = result_number(result, "plans_changed");
	int64 degraded = result_number(result, "degraded");

	if (!result_has(result, "plans"))
		return "no queries to review";
	initStringInfo(&words);
	appendStringInfo(
		&words, "%s reviewed, %s kept",
		counted(result_number(result, "queries"), "query", "queries"),
		counted(result_number(result, "plans"), "plan", "plans"));
	if (changed > 0)
		add_phrase(&words,
				   psprintf("%s of them changed", count_text(changed)));
	add_phrase(&words,
			   psprintf("%s slower since maintenance",
						degraded == 0 ? "none" : count_text(degraded)));
	return words.data;
}

DEFINE_ACTION(review_queries) = {
	.name = "review_queries",
	.description =
		"report queries that became slower after maintenance, and store the plans of those that take most time; executes no query",
	.options = options,
	.repeatable = true,
	.plan = plan_review_queries,
	.execute = execute_review_queries,
	.describe = describe_review,
	.shown_as = SHOWN_WITH_STEP,
};
