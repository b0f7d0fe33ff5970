/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  The action "vacuum": VACUUM of tables that are due.
 *
 * The room vacuum: maintenance of tables: VACUUM, ANALYZE, VACUUM FULL, and the
 * report on bloat.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "action/blockers.h"
#include "action/evidence.h"
#include "action/option_values.h"
#include "action/selection.h"
#include "base/compat.h"
#include "bloat/removable.h"
#include "vacuum/gains.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	SCOPE_OPTION,
	RANGE_OPTION(
		"min_dead_rows", OPTION_INTEGER, 0, 1e15, "1000",
		"vacuum tables from this many dead rows on, if min_dead_ratio is reached too"),
	RANGE_OPTION(
		"min_dead_ratio", OPTION_NUMBER, 0, 1, "0.05",
		"vacuum tables from this share of dead rows on, if min_dead_rows is reached too"),
	RANGE_OPTION(
		"min_inserted_ratio", OPTION_NUMBER, 0, 1e6, "0.2",
		"vacuum tables to which this share of their rows was added since the last VACUUM"),
	RANGE_OPTION(
		"min_wraparound_ratio", OPTION_NUMBER, 0, 1, "0.7",
		"vacuum tables whose transaction ID age reaches this share of autovacuum_freeze_max_age, with FREEZE"),
	PLAIN_OPTION(
		"analyze", OPTION_SWITCH, "auto",
		"analyze in the same command; auto: where statistics are missing or stale"),
	PLAIN_OPTION(
		"freeze", OPTION_BOOLEAN, NULL,
		"option FREEZE of VACUUM: freeze all rows that can be frozen"),
	PLAIN_OPTION(
		"disable_page_skipping", OPTION_BOOLEAN, NULL,
		"option DISABLE_PAGE_SKIPPING of VACUUM: read all pages of the table"),
	PLAIN_OPTION(
		"index_cleanup", OPTION_SWITCH, NULL,
		"option INDEX_CLEANUP of VACUUM: remove index entries of dead rows"),
	PLAIN_OPTION("process_toast", OPTION_BOOLEAN, NULL,
				 "option PROCESS_TOAST of VACUUM: vacuum the TOAST table too"),
	PLAIN_OPTION(
		"truncate", OPTION_BOOLEAN, NULL,
		"option TRUNCATE of VACUUM: cut off empty pages at the end of the table"),
	RANGE_OPTION(
		"parallel", OPTION_INTEGER, 0, 1024, NULL,
		"option PARALLEL of VACUUM: number of parallel workers for indexes"),
	SERVER_OPTION("process_main", OPTION_BOOLEAN, 16,
				  "option PROCESS_MAIN of VACUUM: vacuum the table itself"),
	SERVER_OPTION(
		"skip_database_stats", OPTION_BOOLEAN, 16,
		"option SKIP_DATABASE_STATS of VACUUM: do not advance the database's oldest transaction ID"),
	SERVER_OPTION(
		"buffer_usage_limit", OPTION_BYTES, 16,
		"option BUFFER_USAGE_LIMIT of VACUUM: size of the buffer ring"),
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* options of VACUUM, which go into the command unchanged */
static const char *const passed_through[] = {
	"disable_page_skipping",
	"index_cleanup",
	"process_main",
	"process_toast",
	"truncate",
	"skip_database_stats",
	"parallel",
};

static void
add_command_option(StringInfo command, const char *name, const char *value)
{
	appendStringInfoString(command,
						   command->data[command->len - 1] == '(' ? "" : ", ");
	for (const char *letter = name; *letter != '\0'; letter++)
		appendStringInfoChar(command,
							 (char) pg_toupper((unsigned char) *letter));
	if (value != NULL)
		appendStringInfo(command, " %s", value);
}

/*
 * The command for one table.
 */
static char *
vacuum_command(Jsonb *given, const char *target, bool only, bool freeze,
			   bool analyze)
{
	StringInfoData command;

	initStringInfo(&command);
	appendStringInfoString(&command, "VACUUM (");
	if (freeze)
		add_command_option(&command, "freeze", NULL);
	if (analyze)
		add_command_option(&command, "analyze", NULL);
	for (int i = 0; i < (int) lengthof(passed_through); i++)
	{
		if (option_given(given, passed_through[i]))
			add_command_option(&command, passed_through[i],
							   option_text(options, given, passed_through[i]));
	}
	if (option_given(given, "buffer_usage_limit"))
		add_command_option(
			&command, "buffer_usage_limit",
			psprintf("'%lld kB'", (long long) option_bytes(
									  options, given, "buffer_usage_limit") /
									  1024));
	if (command.data[command.len - 1] == '(')
	{
		resetStringInfo(&command);
		appendStringInfoString(&command, "VACUUM ");
	}
	else
		appendStringInfoString(&command, ") ");
	appendStringInfo(&command, "%s%s", only ? "ONLY " : "", target);
	return command.data;
}

/*
 * Plan every table that is due, most urgent first.
 */
static void
plan_vacuum(PlanContext *context)
{
	LedgerQuery query = {0};
	bool frozen = option_boolean(options, context->options, "freeze");
	List *left_alone = NIL;
	uint64 rows;

	if (refuse_unsafe_release(context, FIX_MAINTENANCE_AS_OWNER, "VACUUM"))
		return;
	bind_text(&query, option_text(options, context->options, "analyze"));
	bind_datum(&query, INT8OID,
			   Int64GetDatum(option_integer(options, context->options,
											"min_dead_rows")));
	bind_double(&query,
				option_number(options, context->options, "min_dead_ratio"));
	bind_double(&query, option_number(options, context->options,
									  "min_inserted_ratio"));
	bind_double(&query, option_number(options, context->options,
									  "min_wraparound_ratio"));
	bind_boolean(&query, scope_is_all(context, options));
	bind_oid(&query, context->role);
	bind_selection(context, &query);
	bind_bigint(&query, context->run_id);
	rows = ledger_query(
		&query,
		"WITH thinned AS MATERIALIZED (SELECT t.relation, "
		"pg_catalog.sum((t.result ->> 'deleted_rows')::pg_catalog.int8) AS rows FROM pgmaint.tasks t "
		"WHERE t.run_id = $10 AND t.action = 'retention' AND t.state = 'succeeded' "
		"GROUP BY t.relation HAVING pg_catalog.sum((t.result ->> 'deleted_rows')::pg_catalog.int8) > 0) "
		"SELECT " TARGET_TABLE ", " TABLE_WITH_TOAST ", "
		"CASE WHEN h.rows IS NULL THEN v.reason ELSE pg_catalog.format('retention deleted %s rows of the table%s', "
		"h.rows, CASE WHEN pg_catalog.cardinality(v.causes) > 0 THEN '; ' || v.reason END) END AS reason, "
		"v.may_maintain, v.total_bytes AS bytes, "
		"(pg_catalog.jsonb_build_object('causes', v.causes, 'dead_rows', v.dead_rows, "
		"'dead_ratio', pg_catalog.round(v.dead_ratio::pg_catalog.numeric, 4), "
		"'inserted_rows', v.inserted_rows, 'xid_age', v.xid_age, "
		"'multixact_age', v.multixact_age, 'last_vacuum', v.last_vacuum, "
		"'analyze', a.due) || CASE WHEN v.autovacuum_score IS NULL THEN '{}' ELSE "
		"pg_catalog.jsonb_build_object('autovacuum_score', pg_catalog.round(v.autovacuum_score::pg_catalog.numeric, 2)) END)::text AS evidence, "
		"'wraparound' = ANY (v.causes) AS for_wraparound, a.due AS analyze, s.reason AS analyze_reason, "
		"c.relhassubclass "
		"FROM pgmaint.vacuum_candidates($2, $3, $4, $5, "
		"$6 OR EXISTS (SELECT FROM thinned), $7) WITH ORDINALITY "
		"AS v (relation, reason, size, dead_rows, dead_ratio, inserted_rows, xid_age, "
		"multixact_age, wraparound_ratio, last_vacuum, total_bytes, causes, may_maintain, "
		"autovacuum_score, nth) "
		"JOIN pg_catalog.pg_class c ON c.oid = v.relation "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
		"LEFT JOIN thinned h ON h.relation = c.oid "
		"LEFT JOIN pgmaint.stale_statistics(everything => $6, for_role => $7) s "
		"ON s.relation = v.relation "
		/* the leader analyzes the ledger's tables at the end of the run: upkeep.c */
		"CROSS JOIN LATERAL (SELECT CASE WHEN $8 IS NULL AND $9 IS NULL AND n.nspname IN (" OWN_SCHEMAS
		") THEN false "
		"WHEN $1 = 'auto' THEN s.relation IS NOT NULL "
		"ELSE $1 IN ('on', 'true') END AS due) a "
		"WHERE ($6 OR h.rows > 0 OR pg_catalog.cardinality(v.causes) > 0) "
		"AND " SELECTION_CONDITION("c.oid", "n.nspname", "$8",
								   "$9") "ORDER BY v.nth");

	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task;
		bool analyze = named_boolean(row, "analyze");

		if (!named_boolean(row, "may_maintain"))
		{
			left_alone = lappend(left_alone, named_text(row, "target"));
			continue;
		}
		task = task_from_row(context, "vacuum", row);
		task->command = vacuum_command(
			context->options, task->target,
			SERVER_HAS_VACUUM_ONLY && named_boolean(row, "relhassubclass"),
			frozen || named_boolean(row, "for_wraparound"), analyze);
		if (analyze)
		{
			char *why = named_text(row, "analyze_reason");

			if (why != NULL && strcmp(why, task->reason) != 0)
				task->reason = psprintf("%s; %s", task->reason, why);
			context->analyzed = lappend_oid(context->analyzed, task->relation);
		}
	}
	note_left_alone(context, "VACUUM", left_alone);
}

/*
 * Is a cause among those of the task?
 */
static bool
has_cause(const ClaimedTask *task, const char *cause)
{
	JsonbValue *causes = json_field(task->evidence, "causes");
	JsonbValue element;

	if (causes == NULL || causes->type != jbvBinary)
		return false;
	element.type = jbvString;
	element.val.string.val = unconstify(char *, cause);
	element.val.string.len = (int) strlen(cause);
	return findJsonbValueFromContainer(causes->val.binary.data, JB_FARRAY,
									   &element) != NULL;
}

/*
 * Would an old snapshot make the work futile?
 *
 * Judged by the rows in sampled pages, not by the age of the snapshot alone:
 * the task is worth doing as long as it gains something for one of its causes.
 */
static bool
work_is_futile(const ClaimedTask *task, TransactionId *horizon, char **what)
{
	bool wraparound = has_cause(task, "wraparound");
	bool inserts = has_cause(task, "inserts");
	int64 age = transaction_age(task->relation);
	RemovableSample sample;

	if (has_cause(task, "dead rows in TOAST"))
		return false;
	sample_removable(task->relation, &sample);
	*horizon = sample.horizon;
	if (wraparound && sample.horizon_age * 10 < age * 9)
		return false;
	if (inserts && sample.settled * 10 >= sample.settled + sample.recent)
		return false;
	if (has_cause(task, "dead rows") || (!wraparound && !inserts))
	{
		if (sample.recently_dead == 0 ||
			sample.dead * 9 >= sample.recently_dead)
			return false;
		*what = psprintf(
			"%lld of %lld dead rows in %lld sampled pages can be removed",
			(long long) sample.dead,
			(long long) sample.dead + (long long) sample.recently_dead,
			(long long) sample.blocks);
	}
	else if (inserts)
		*what =
			psprintf("%lld of %lld rows in %lld sampled pages can be frozen",
					 (long long) sample.settled,
					 (long long) sample.settled + (long long) sample.recent,
					 (long long) sample.blocks);
	else
		*what = psprintf(
			"the transaction ID age of the table, %lld, cannot be lowered below %lld",
			(long long) age, (long long) sample.horizon_age);
	return true;
}

static HoldBack
consider_vacuum(TaskContext *context, char **reason)
{
	LedgerScope scope;
	TransactionId horizon;
	int64 seconds_held;
	char *holder;
	char *what = NULL;

	read_table_state(context->task->relation, &context->before);
	if (!work_is_futile(context->task, &horizon, &what))
		return HOLD_BACK_NOTHING;
	ledger_enter(&scope);
	holder = name_xmin_holder(context->task->relation, horizon, &seconds_held);
	ledger_leave(&scope);
	if (holder == NULL)
		return HOLD_BACK_NOTHING;
	*reason =
		psprintf("VACUUM would be futile: %s, because of %s", what, holder);
	return holder_is_old(seconds_held) ? HOLD_BACK_SKIP : HOLD_BACK_RETRY;
}

/*
 * Record what VACUUM gained.  The server's statistics tell whether VACUUM
 * processed the table at all; they do not tell for VACUUM of the TOAST table
 * alone.
 */
static void
record_vacuum(TaskContext *context)
{
	TableState after;
	StringInfoData result;
	bool analyzed = evidence_flag(context->task, "analyze");

	read_table_state(context->task->relation, &after);
	if (nothing_was_done(context->task->relation, context->before.last_vacuum,
						 after.last_vacuum) &&
		!option_given(context->options, "process_main"))
	{
		context->not_done = "VACUUM skipped the table";
		return;
	}
	if (nothing_was_done(context->task->relation, context->before.last_analyze,
						 after.last_analyze))
		analyzed = false;
	initStringInfo(&result);
	appendStringInfo(
		&result,
		"{\"dead_rows_before\": %lld, \"dead_rows_after\": %lld, "
		"\"xid_age_before\": %lld, \"xid_age_after\": %lld, "
		"\"all_visible_pages\": %lld, \"pages\": %lld, "
		"\"returned_bytes\": %lld, \"analyzed\": %s}",
		(long long) context->before.dead_rows, (long long) after.dead_rows,
		(long long) context->before.xid_age, (long long) after.xid_age,
		(long long) after.all_visible_pages, (long long) after.pages,
		(long long) context->returned_bytes, analyzed ? "true" : "false");
	context->result = result.data;
}

DEFINE_ACTION(vacuum) = {
	.name = "vacuum",
	.description =
		"run VACUUM on tables that are due, with ANALYZE where statistics are missing or stale",
	.options = options,
	.repeatable = true,
	.plan = plan_vacuum,
	.consider = consider_vacuum,
	.record = record_vacuum,
	.describe = describe_gains,
	.usual_duration = usual_vacuum_duration,
};
