/*-------------------------------------------------------------------------
 *
 * index_advice.c
 *	  The action "index_advice": reports indexes that statements would gain
 *	  from, and keeps the advice: later runs report whether the indexes helped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "action/action.h"
#include "action/result.h"
#include "advice/advise.h"
#include "advice/report.h"
#include "base/wording.h"

static const ActionOption options[] = {
	RANGE_OPTION("min_calls", OPTION_INTEGER, 1, 1e15, "5",
				 "examine statements with at least this many executions"),
	RANGE_OPTION(
		"min_mean_ms", OPTION_NUMBER, 0, 1e9, "1",
		"examine statements with at least this mean time in milliseconds"),
	RANGE_OPTION(
		"min_gain", OPTION_NUMBER, 0.01, 1, "0.3",
		"advise indexes that save at least this share of a statement's cost"),
	PLAIN_OPTION("min_size", OPTION_BYTES, "1 MB",
				 "advise no indexes on tables smaller than this"),
	RANGE_OPTION(
		"max_statements", OPTION_INTEGER, 1, 10000, "200",
		"examine at most this many statements, those that took most time"),
	RANGE_OPTION("max_findings", OPTION_INTEGER, 1, 1000, "10",
				 "report at most this many indexes, those with most gain"),
	END_OF_OPTIONS,
};

static void
plan_index_advice(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "index_advice";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = "SELECT * FROM pgmaint.index_advice()";
	task->reason =
		"search for indexes that would speed up the slowest statements";
	task->bytes = -1;
	context->tasks = list_make1(task);
}

static PlannedFinding *
add_advice_finding(TaskContext *context, char *object, char *message)
{
	return note_finding(&context->findings, "index_advice", "info", object,
						message);
}

/*
 * The gain and the cost of an index as JSON, apart from the command, which a
 * person may want to copy.
 */
static char *
advice_detail(const Advice *advice, const char *summary)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"summary\": ");
	escape_json(&json, summary);
	appendStringInfoString(&json, ", \"command\": ");
	escape_json(&json, advice->command);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/*
 * The reason why there are no statistics of statements, or NULL.
 */
static char *
look_for_statistics(void)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	char *missing;

	ledger_enter(&scope);
	(void) ledger_query(&query,
						"SELECT pgmaint_internal.statements_missing()");
	missing = ledger_text(0, 1);
	ledger_leave(&scope);
	return missing;
}

/*
 * Report whether indexes that were advised earlier have helped.
 */
static int
review(TaskContext *context)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;

	ledger_enter(&scope);
	rows = ledger_query(
		&query,
		"SELECT r.object, r.message FROM pgmaint_internal.review_index_advice() r");
	for (uint64 row = 0; row < rows; row++)
		(void) add_advice_finding(context, ledger_text(row, 1),
								  ledger_text(row, 2));
	ledger_leave(&scope);
	return (int) rows;
}

/*
 * Store a piece of advice, with the present times of its statements.
 */
static void
remember(const Advice *advice, char *object)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	double calls = 0;
	double total = 0;
	ListCell *cell;

	foreach (cell, advice->gains)
	{
		const StatementGain *gain = lfirst(cell);

		calls += gain->statement->calls;
		total += gain->statement->total_ms;
	}
	ledger_enter(&scope);
	bind_oid(&query, advice->index->relation);
	bind_text(&query, object);
	bind_text(&query, advice->command);
	bind_double(&query, advice->gain_ms);
	bind_bigint(&query, (int64) advice->bytes);
	bind_datum(&query, INT8ARRAYOID, list_query_ids(advice));
	bind_double(&query, total / Max(1, calls));
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.index_advices AS a (relation, object, statement, gain_ms_per_day, "
		"index_bytes, query_ids, mean_ms_before) VALUES ($1, $2, $3, $4, $5, $6, $7) "
		"ON CONFLICT (relation, statement) DO UPDATE SET last_given_at = pg_catalog.clock_timestamp(), "
		"object = excluded.object, gain_ms_per_day = excluded.gain_ms_per_day, "
		"index_bytes = excluded.index_bytes, query_ids = excluded.query_ids, "
		"mean_ms_before = excluded.mean_ms_before");
	ledger_leave(&scope);
}

/*
 * Report the advice, best first, and the statements without advice.
 */
static void
execute_index_advice(TaskContext *context)
{
	AdviceLimits limits;
	AdviceResult result;
	char *missing = look_for_statistics();
	int64 most = option_integer(options, context->options, "max_findings");
	int reviewed;
	int given = 0;
	ListCell *cell;

	if (missing != NULL)
	{
		(void) add_advice_finding(
			context, NULL, psprintf("no advice on indexes: %s", missing));
		context->result = "{\"advised\": 0, \"looked_at\": 0}";
		return;
	}
	reviewed = review(context);
	limits.min_calls = option_integer(options, context->options, "min_calls");
	limits.min_mean_ms =
		option_number(options, context->options, "min_mean_ms");
	limits.min_gain = option_number(options, context->options, "min_gain");
	limits.min_bytes =
		(double) option_bytes(options, context->options, "min_size");
	limits.max_statements =
		(int) option_integer(options, context->options, "max_statements");
	find_advice(&limits, &result);
	foreach (cell, result.advice)
	{
		const Advice *advice = lfirst(cell);
		char *object = quote_qualified_identifier(
			get_namespace_name(get_rel_namespace(advice->index->relation)),
			get_rel_name(advice->index->relation));

		remember(advice, object);
		if (given++ < most)
		{
			char *price = describe_price(advice);
			char *gain = describe_gain(advice);

			add_advice_finding(
				context, object,
				psprintf("%s would save %s; %s", advice->command, gain, price))
				->detail = advice_detail(
				advice, psprintf("an index would save %s; %s", gain, price));
		}
	}
	if (given > most)
		(void) add_advice_finding(
			context, NULL,
			psprintf(
				"%lld more indexes would help: SELECT * FROM pgmaint.index_advice()",
				(long long) (given - most)));
	if (result.left_out != NIL)
		(void) add_advice_finding(context, NULL,
								  psprintf("no advice on some statements: %s",
										   describe_what_was_left(&result)));
	context->result =
		psprintf("{\"looked_at\": %d, \"advised\": %d, \"reviewed\": %d}",
				 result.looked_at, given, reviewed);
}

static char *
describe_index_advice(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 reviewed = result_number(result, "reviewed");

	initStringInfo(&words);
	if (!result_has(result, "reviewed"))
		add_phrase(&words, "no statements to review");
	else
		appendStringInfo(
			&words, "%s reviewed, %s advised",
			counted(result_number(result, "looked_at"), "statement",
					"statements"),
			counted(result_number(result, "advised"), "index", "indexes"));
	if (reviewed > 0)
		add_phrase(&words, psprintf("%s created on earlier advice",
									counted(reviewed, "index", "indexes")));
	return words.data;
}

DEFINE_ACTION(index_advice) = {
	.name = "index_advice",
	.description =
		"advise indexes that would speed up the slowest statements, and report whether indexes that were created as advised have helped; creates no indexes",
	.options = options,
	.repeatable = true,
	.plan = plan_index_advice,
	.execute = execute_index_advice,
	.describe = describe_index_advice,
	.shown_as = SHOWN_WITH_STEP,
};
