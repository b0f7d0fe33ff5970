/*-------------------------------------------------------------------------
 *
 * corruption_task.c
 *	  Execution of a task of the action "check_corruption".
 *
 * A damaged relation makes its task fail, and with it the run: a run over a
 * damaged table must not be shown as succeeded.  The other tasks go on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "corruption/amcheck.h"
#include "corruption/corruption_database.h"
#include "corruption/corruption_task.h"
#include "ledger/ledger.h"

/*
 * Blocks of a table that one call checks: between calls, progress is reported
 * and the time is checked.
 */
#define BLOCKS_AT_ONCE 1024

/* why a check ends before the end of its table */
#define TIME_IS_UP "time_budget of this run is used up"

/* a relation, while it is checked */
typedef struct Checked
{
	AmcheckKind kind;
	Oid owner;
	Problems problems;
	BlockNumber blocks; /* of a table */
	BlockNumber next;	/* from here on it was not checked */
	TimestampTz until;	/* 0: no limit */
	Amcheck amcheck;
} Checked;

/*
 * When the time of the step is used up.
 */
static TimestampTz
end_of_time(const ClaimedTask *task)
{
	char *until = evidence_text(task, "until");

	if (until == NULL)
		return 0;
	return DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(until),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/*
 * Is there time left?  If so, record the start of the check before it begins:
 * a check that crashes the server must not come first again.
 */
HoldBack
consider_check(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	TimestampTz until = end_of_time(task);
	LedgerQuery query = {0};
	LedgerScope scope;

	if (!OidIsValid(task->relation))
		return HOLD_BACK_NOTHING;
	if (until != 0 && GetCurrentTimestamp() >= until)
	{
		*reason = TIME_IS_UP;
		return HOLD_BACK_LEAVE;
	}
	ledger_enter(&scope);
	bind_oid(&query, task->relation);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.corruption_results AS r (relation, begun_at) "
		"VALUES ($1, pg_catalog.clock_timestamp()) ON CONFLICT (relation) "
		"DO UPDATE SET begun_at = excluded.begun_at");
	ledger_leave(&scope);
	return HOLD_BACK_NOTHING;
}

/*
 * Lock a relation until the end of the transaction, the table of an index
 * first.  False when it was dropped.
 */
static bool
lock_checked(const ClaimedTask *task, Checked *checked)
{
	Oid table = task->relation;
	Relation relation;

	if (checked->kind != AMCHECK_HEAP)
		table = IndexGetRelation(task->relation, true);
	relation =
		OidIsValid(table) ? try_relation_open(table, AccessShareLock) : NULL;
	if (relation == NULL)
		return false;
	checked->owner = relation->rd_rel->relowner;
	relation_close(relation, NoLock);
	if (table == task->relation)
		return true;
	relation = try_relation_open(task->relation, AccessShareLock);
	if (relation == NULL)
		return false;
	relation_close(relation, NoLock);
	return true;
}

/*
 * Check a table within the time budget.  A table in which damage was found is
 * checked to its end, to find all damage at once.
 */
static void
check_table(const ClaimedTask *task, Checked *checked)
{
	checked->blocks = count_blocks(task->relation, &checked->problems);
	checked->next = (BlockNumber) evidence_number(task, "from_block", 0);
	/* the table was truncated since */
	if (checked->next >= checked->blocks)
		checked->next = 0;
	while (checked->next < checked->blocks)
	{
		BlockNumber last =
			Min(checked->next + BLOCKS_AT_ONCE, checked->blocks) - 1;

		CHECK_FOR_INTERRUPTS();
		pgstat_report_activity(
			STATE_RUNNING,
			psprintf("check_corruption: block %u of %u of %s", checked->next,
					 checked->blocks, task->target));
		check_blocks(&checked->amcheck, task->relation, checked->next, last,
					 &checked->problems);
		checked->next = last + 1;
		if (checked->until != 0 && checked->problems.count == 0 &&
			GetCurrentTimestamp() >= checked->until)
			break;
	}
}

/*
 * The first problem with its place, in words.
 */
static char *
describe_first_problem(const Problems *problems)
{
	const Problem *problem = linitial(problems->first);
	StringInfoData text;

	initStringInfo(&text);
	if (problems->count > 1)
		appendStringInfo(&text, "%lld problems, the first ",
						 (long long) problems->count);
	if (problem->block >= 0)
	{
		appendStringInfo(&text, "in block %lld", (long long) problem->block);
		if (problem->offset >= 0)
			appendStringInfo(&text, ", item %d", problem->offset);
		if (problem->attribute >= 0)
			appendStringInfo(&text, ", column %d", problem->attribute + 1);
		appendStringInfoString(&text, ": ");
	}
	else if (problems->count > 1)
		appendStringInfoString(&text, "being: ");
	appendStringInfoString(&text, problem->message);
	return text.data;
}

static void
append_number(StringInfo json, const char *name, int64 number)
{
	if (number >= 0)
		appendStringInfo(json, "\"%s\": %lld, ", name, (long long) number);
}

static char *
list_problems(const ClaimedTask *task, const Problems *problems)
{
	StringInfoData json;
	ListCell *cell;

	initStringInfo(&json);
	appendStringInfo(&json,
					 "{\"relation\": %u, \"problems\": %lld, \"first\": [",
					 task->relation, (long long) problems->count);
	foreach (cell, problems->first)
	{
		const Problem *problem = lfirst(cell);

		appendStringInfo(&json, "%s{",
						 cell == list_head(problems->first) ? "" : ", ");
		append_number(&json, "block", problem->block);
		append_number(&json, "offset", problem->offset);
		append_number(&json, "attribute", problem->attribute);
		appendStringInfoString(&json, "\"message\": ");
		escape_json(&json, problem->message);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoString(&json, "]}");
	return json.data;
}

/*
 * Fail the task, and note a critical finding.
 */
static void
report_damage(TaskContext *context, const Checked *checked)
{
	const ClaimedTask *task = context->task;
	PlannedFinding *finding =
		note_finding(&context->findings, "corruption", "critical", NULL, NULL);
	char *what = describe_first_problem(&checked->problems);

	context->failure = what;
	context->failure_state = checked->problems.sqlstate;
	finding->object = task->target;
	finding->detail = list_problems(task, &checked->problems);
	if (checked->kind == AMCHECK_HEAP)
		finding->message = psprintf(
			"table %s is damaged: %s; copy the data directory before anything else, then restore the table from a backup that is older than the damage",
			task->target, what);
	else
		finding->message = psprintf(
			"index %s is damaged: %s; if its table is sound, rebuild the index with REINDEX INDEX CONCURRENTLY %s",
			task->target, what, task->target);
}

/*
 * Record the result of the check.
 */
static void
keep_result(TaskContext *context, const Checked *checked)
{
	const ClaimedTask *task = context->task;
	bool damaged = checked->problems.count > 0;
	LedgerQuery query = {0};
	LedgerScope scope;

	ledger_enter(&scope);
	bind_oid(&query, task->relation);
	if (checked->kind == AMCHECK_HEAP && checked->next < checked->blocks)
	{
		bind_bigint(&query, checked->next);
		(void) ledger_query(
			&query,
			"UPDATE pgmaint_internal.corruption_results SET next_block = $2, "
			"pass_begun_at = coalesce(pass_begun_at, begun_at) WHERE relation = $1");
		ledger_leave(&scope);
		return;
	}
	bind_text(&query, checked->kind == AMCHECK_HEAP ? "heap"
					  : checked->kind == AMCHECK_INDEX_WITH_PARENT
						  ? "index with parent"
						  : "index");
	bind_bigint(&query, context->run_id);
	bind_boolean(&query, damaged);
	bind_bigint(&query, checked->problems.count);
	bind_text(&query, damaged ? context->failure : NULL);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.corruption_results SET check_name = $2, run_id = $3, "
		"last_checked = pg_catalog.clock_timestamp(), "
		"last_verified = CASE WHEN $4 THEN last_verified ELSE coalesce(pass_begun_at, begun_at) END, "
		"outcome = CASE WHEN $4 THEN 'damaged' ELSE 'sound' END, problems = $5, "
		"problems_at = CASE WHEN $4 THEN pg_catalog.clock_timestamp() ELSE problems_at END, "
		"duration = pg_catalog.clock_timestamp() - begun_at, "
		"bytes = pg_catalog.pg_relation_size($1), message = $6, "
		"next_block = NULL, pass_begun_at = NULL WHERE relation = $1");
	ledger_leave(&scope);
}

static void
check_relation(TaskContext *context, AmcheckKind kind)
{
	const ClaimedTask *task = context->task;
	const AmcheckFunction *function;
	Checked checked = {0};
	LedgerScope scope;

	checked.kind = kind;
	checked.until = end_of_time(task);
	if (!lock_checked(task, &checked))
	{
		context->not_done = psprintf(
			"%s was dropped after the task had been planned", task->target);
		return;
	}
	ledger_enter(&scope);
	find_amcheck(GetUserId(), &checked.amcheck);
	ledger_leave(&scope);
	function = &checked.amcheck.functions[kind];
	if (function->refusal != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "%s was not checked, because pgmaint does not call a function of the extension amcheck: %s",
				 task->target, function->refusal)));
	if (!OidIsValid(function->oid))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg(
				 "function %s of the extension amcheck was dropped after the task had been planned",
				 amcheck_name(kind))));
	if (!function->allowed)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for function %s",
							   function->signature)));

	if (kind == AMCHECK_HEAP)
		check_table(task, &checked);
	else
		check_index(&checked.amcheck, kind, &checked.problems, task->relation,
					checked.owner);
	if (checked.problems.count > 0)
		report_damage(context, &checked);
	keep_result(context, &checked);
	/* the report counts sound relations instead of listing them */
	if (checked.next >= checked.blocks)
		context->shown_as = SHOWN_AS_COUNT;
	if (kind != AMCHECK_HEAP)
		context->result =
			psprintf("{\"problems\": %lld, \"found\": \"%s\"}",
					 (long long) checked.problems.count,
					 checked.problems.count > 0 ? "damaged" : "sound");
	else
		context->result = psprintf(
			"{\"problems\": %lld, \"next_block\": %u, \"blocks\": %u, \"found\": \"%s\"}",
			(long long) checked.problems.count, checked.next, checked.blocks,
			checked.problems.count > 0 ? "damaged"
			: checked.next < checked.blocks
				? psprintf(
					  "sound up to block %u, from which the next run continues",
					  checked.next)
				: "sound");
}

void
execute_check(TaskContext *context)
{
	char *check = evidence_text(context->task, "check");
	AmcheckKind kind;

	if (check == NULL)
		elog(ERROR, "task %lld names no check",
			 (long long) context->task->task_id);
	kind = amcheck_kind(check);
	if (kind != AMCHECK_KINDS)
		check_relation(context, kind);
	else if (strcmp(check, "checksums") == 0)
		check_checksums(context);
	else if (strcmp(check, "sequences") == 0)
		check_sequences(context,
						option_number(context->action->options,
									  context->options, "sequence_threshold"));
	else if (strcmp(check, "constraints") == 0)
		check_constraints(context);
	else
		sum_up_checks(context);
}
