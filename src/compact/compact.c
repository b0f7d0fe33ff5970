/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  The action "compact": give space of half-empty tables back while they are
 *	  in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "action/blockers.h"
#include "action/result.h"
#include "action/selection.h"
#include "base/wording.h"
#include "compact/compact_task.h"
#include "compact/measure.h"
#include "compact/pace.h"

/* tables that a finding names */
#define NAMED_TABLES 5

/* dead rows are removed first if they take more than this share */
#define DEAD_SHARE 20

/* an index that has grown by so much, and by a twentieth, is reported */
#define TELLING_GROWTH ((int64) 8 * 1024 * 1024)

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION(
		"compact", OPTION_BOOLEAN, "true",
		"compact all tables that are due; false: only those that allow_compact() allows, and report the others"),
	PLAIN_OPTION("min_gain", OPTION_BYTES, "100 MB",
				 "compact a table only if that would free at least this much"),
	RANGE_OPTION(
		"bloat_threshold", OPTION_NUMBER, 0, 1, "0.3",
		"compact tables above this bloat ratio, measured on sampled pages without the TOAST table"),
	PLAIN_OPTION(
		"published", OPTION_BOOLEAN, "false",
		"also compact tables whose moved rows logical replication would send to subscribers"),
	PLAIN_OPTION(
		"reorder", OPTION_BOOLEAN, "false",
		"also compact tables whose rows are in the order of an index, such as logs: the newest rows are moved to free space between older ones"),
	PLAIN_OPTION("max_wal_rate", OPTION_BYTES, "0",
				 "write no more WAL than this in a second; 0: any amount"),
	PLAIN_OPTION(
		"max_lag", OPTION_BYTES, "64 MB",
		"pause while a standby has yet to replay more WAL than this; 0: never"),
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* of the table that this process has considered last */
static int64 kept_pages;
static bool has_dead_rows;

static bool
is_due(Jsonb *given, const TableBloat *bloat)
{
	return bloat->heap_bloat_bytes >=
			   option_bytes(options, given, "min_gain") &&
		   heap_bloat_ratio(bloat) >
			   option_number(options, given, "bloat_threshold");
}

static char *
describe_heap_bloat(const TableBloat *bloat)
{
	return psprintf(
		"bloat: %s of %s, %.0f %%", size_text(bloat->heap_bloat_bytes),
		size_text(bloat->heap_bytes), 100 * heap_bloat_ratio(bloat));
}

/*
 * These tables, or the first of them, as the option of that name.
 */
static char *
tables_option(List *targets)
{
	StringInfoData json;
	ListCell *cell;

	initStringInfo(&json);
	foreach (cell, targets)
	{
		if (foreach_current_index(cell) == NAMED_TABLES)
			break;
		appendStringInfoString(&json, json.len > 0 ? ", " : "");
		escape_json(&json, lfirst(cell));
	}
	return psprintf(list_length(targets) == 1 ? "{\"tables\": %s}"
											  : "{\"tables\": [%s]}",
					json.data);
}

static char *
compact_command(const char *given)
{
	return psprintf("SELECT pgmaint.run_action('compact', %s)",
					quote_literal_cstr(given));
}

/*
 * The command that compacts one table with the options of the step.
 */
static char *
command_of_task(Jsonb *given, const char *target)
{
	Datum all = DirectFunctionCall1(
		jsonb_in, CStringGetDatum(
					  tables_option(list_make1(unconstify(char *, target)))));

	if (given != NULL)
	{
		Datum others = DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(given),
										   CStringGetTextDatum("schemas"));

		others = DirectFunctionCall2(jsonb_delete, others,
									 CStringGetTextDatum("compact"));
		all = DirectFunctionCall2(jsonb_concat, others, all);
	}
	return compact_command(
		DatumGetCString(DirectFunctionCall1(jsonb_out, all)));
}

static void
complete_task(PlannedTask *task, Jsonb *given, const TableBloat *bloat,
			  bool standby)
{
	task->command = command_of_task(given, task->target);
	task->reason = describe_heap_bloat(bloat);
	task->gain_bytes = bloat->heap_bloat_bytes;
	task->disruptive = standby;
	if (standby)
		task->reason = psprintf(
			"%s; a standby is connected, on which cutting off the end blocks queries",
			task->reason);
	task->evidence = psprintf(
		"{\"bloat_bytes\": %lld, \"total_bytes\": %lld, \"bloat_ratio\": %.4f, "
		"\"margin\": %.4f, \"gain_bytes\": %lld}",
		(long long) bloat->heap_bloat_bytes, (long long) bloat->heap_bytes,
		heap_bloat_ratio(bloat), bloat->margin, (long long) task->gain_bytes);
}

/*
 * Report tables that are due, but that no one has allowed to be compacted.
 */
static void
report_candidates(PlanContext *context, List *targets, int64 gain)
{
	if (targets == NIL)
		return;
	plan_finding(
		context, "compact", "info",
		list_length(targets) == 1 ? linitial(targets) : NULL,
		psprintf(
			"compaction would free %s of %s while %s in use: %s; SELECT pgmaint.allow_compact(%s) lets this plan do so",
			size_text(gain),
			list_length(targets) == 1
				? (char *) linitial(targets)
				: psprintf("%d tables", list_length(targets)),
			list_length(targets) == 1 ? "it is" : "they are",
			compact_command(tables_option(targets)),
			quote_literal_cstr(linitial(targets))),
		psprintf("{\"tables\": %d, \"gain_bytes\": %lld}",
				 list_length(targets), (long long) gain));
}

/*
 * Plan every table that is due and may be compacted.  A plan that is not asked
 * to compact reports the others.
 */
static void
plan_compact(PlanContext *context)
{
	Jsonb *given = context->options;
	bool asked = option_boolean(options, given, "compact");
	LedgerQuery query = {0};
	SPITupleTable *tables;
	List *left_alone = NIL;
	List *candidates = NIL;
	int64 gain = 0;
	uint64 rows;

	if (refuse_unsafe_release(context, FIX_MAINTENANCE_AS_OWNER, "VACUUM"))
		return;
	bind_selection(context, &query);
	bind_oid(&query, context->role);
	bind_bigint(&query, Max(option_bytes(options, given, "min_gain"), 1));
	bind_boolean(&query, option_boolean(options, given, "published"));
	bind_boolean(&query, option_boolean(options, given, "reorder"));
	bind_bigint(&query, context->run_id);
	rows = ledger_query(
		&query,
		"SELECT t.relation, t.name AS target, "
		"(SELECT " TABLE_WITH_TOAST
		" FROM pg_catalog.pg_class c WHERE c.oid = t.relation), "
		"t.bytes, '' AS reason, NULL AS evidence, t.obstacle, t.allowed, t.may_maintain, "
		"pgmaint_internal.standby_is_connected() AS standby "
		"FROM pgmaint_internal.compactable_tables($3, $4, $5, $6) t "
		"WHERE " SELECTION_CONDITION("t.relation", "t.schema", "$1", "$2")
		/* tables that this run has measured and found not to be bloated */
		" AND NOT EXISTS (SELECT FROM pgmaint_internal.bloat_measurements m WHERE m.run_id = $7 "
		"AND m.relation = t.relation AND m.bloat_bytes < $4 "
		"AND NOT EXISTS (SELECT FROM pgmaint.tasks x WHERE x.run_id = $7 "
		"AND x.relation = t.relation AND x.action = 'retention')) "
		"ORDER BY t.bytes DESC, t.relation");
	tables = SPI_tuptable;
	for (uint64 row = 0; row < rows; row++)
	{
		char *obstacle;
		TableBloat bloat;

		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = tables;
		if (!measure_heap(named_oid(row, "relation"), &bloat) ||
			!is_due(given, &bloat))
			continue;
		SPI_tuptable = tables;
		obstacle = named_text(row, "obstacle");
		if (obstacle != NULL)
			plan_finding(context, "compact", "info", named_text(row, "target"),
						 psprintf("%s is not compacted (%s): %s",
								  named_text(row, "target"),
								  describe_heap_bloat(&bloat), obstacle),
						 NULL);
		else if (!named_boolean(row, "may_maintain"))
			left_alone = lappend(left_alone, named_text(row, "target"));
		else if (!asked && !named_boolean(row, "allowed"))
		{
			candidates = lappend(candidates, named_text(row, "target"));
			gain += bloat.heap_bloat_bytes;
		}
		else
			complete_task(task_from_row(context, "compact", row), given,
						  &bloat, named_boolean(row, "standby"));
	}
	note_left_alone(context, "a compaction", left_alone);
	report_candidates(context, candidates, gain);
}

/*
 * What keeps the rows of the table from being moved now, or NULL.  The caller
 * is inside a ledger scope.
 */
static char *
find_obstacle(TaskContext *context)
{
	LedgerQuery query = {0};
	char *obstacle;

	bind_oid(&query, context->task->relation);
	bind_boolean(&query,
				 option_boolean(options, context->options, "published"));
	bind_boolean(&query, option_boolean(options, context->options, "reorder"));
	(void) ledger_query(
		&query, "SELECT pgmaint_internal.compact_obstacle($1, $2, $3)");
	obstacle = ledger_text(0, 1);
	return obstacle != NULL ? obstacle : multixacts_run_high();
}

/*
 * A snapshot that has been in use for long will keep what is moved now.
 */
static char *
name_old_holder(TaskContext *context)
{
	int64 seconds;
	char *holder = name_xmin_holder(context->task->relation,
									ReadNextTransactionId(), &seconds);

	return holder != NULL && seconds >= 0 && holder_is_old(seconds) ? holder
																	: NULL;
}

/*
 * Look again right before the work: is it possible, and worth it?
 */
static HoldBack
consider_compact(TaskContext *context, char **reason)
{
	HoldBack hold_back = HOLD_BACK_SKIP;
	LedgerScope scope;
	TableBloat bloat;
	char *holder;

	ledger_enter(&scope);
	*reason = find_obstacle(context);
	if (*reason == NULL && (holder = name_old_holder(context)) != NULL)
		*reason =
			psprintf("moving rows would be futile because of %s", holder);
	if (*reason == NULL && !measure_heap(context->task->relation, &bloat))
	{
		*reason = "the table is locked and cannot be measured";
		hold_back = HOLD_BACK_RETRY;
	}
	if (*reason == NULL && !is_due(context->options, &bloat))
		*reason = psprintf("not enough bloat is left: %s of %s",
						   size_text(bloat.heap_bloat_bytes),
						   size_text(bloat.heap_bytes));
	ledger_leave(&scope);
	if (*reason != NULL)
		return hold_back;
	kept_pages = (bloat.heap_bytes - bloat.heap_bloat_bytes) / BLCKSZ;
	has_dead_rows = bloat.dead_bytes * DEAD_SHARE > bloat.total_bytes;
	return HOLD_BACK_NOTHING;
}

static void
execute_compact(TaskContext *context)
{
	CompactLimits limits = {0};
	Jsonb *given = context->options;

	limits.published = option_boolean(options, given, "published");
	limits.any_time = option_boolean(options, given, "ignore_window");
	limits.max_wal_rate = option_bytes(options, given, "max_wal_rate");
	limits.max_lag = option_bytes(options, given, "max_lag");
	limits.has_dead_rows = has_dead_rows;
	/* the estimate has a margin */
	limits.kept_pages = kept_pages - kept_pages / 20;
	compact_table(context, &limits);
}

static char *
describe_compact(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 rows = result_number(result, "rows_moved");
	int64 growth = result_number(result, "index_bytes_after") -
				   result_number(result, "index_bytes_before");

	initStringInfo(&words);
	add_returned_bytes(&words, result);
	add_phrase(&words, psprintf("%s moved", counted(rows, "row", "rows")));
	if (growth > 0)
		add_phrase(&words, psprintf("indexes grew by %s", size_text(growth)));
	return words.data;
}

/*
 * Indexes get an entry for the new place of each row, and may be larger now.
 */
static void
record_compact(TaskContext *context)
{
	int64 before;
	int64 growth;

	record_compaction(context);
	growth = index_growth(&before);
	if (growth >= TELLING_GROWTH && growth * 20 >= before)
		note_finding(
			&context->findings, "compact", "info",
			pstrdup(context->task->target),
			psprintf(
				"indexes of %s grew by %s to %s; rebuild them with SELECT pgmaint.run_action('reindex', %s)",
				context->task->target, size_text(growth),
				size_text(before + growth),
				quote_literal_cstr(
					tables_option(list_make1(context->task->target)))));
}

DEFINE_ACTION(compact) = {
	.name = "compact",
	.description =
		"give free space of half-empty tables back while they are in use: move rows from the end of a table into free space at its front, run VACUUM, and cut off the end",
	.options = options,
	.plan = plan_compact,
	.consider = consider_compact,
	.outside = execute_compact,
	.record = record_compact,
	.describe = describe_compact,
	.clean_up = clean_up_compaction,
};
