/*-------------------------------------------------------------------------
 *
 * check_corruption.c
 *	  The action "check_corruption": is what is on disk still what was
 *	  written, and what will break next?
 *
 * One task for each table and each index, least recently checked first, as
 * far as the time goes; and one for each thing that is looked at in the
 * database as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "actions/amcheck.h"
#include "actions/corruption_task.h"
#include "actions/selection.h"
#include "ledger/windows.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION(
		"time_budget", OPTION_DURATION, "1 hour",
		"no check begins, and none of a large table goes on, when this has passed since the step began; 0: no limit"),
	PLAIN_OPTION(
		"parent_check", OPTION_SWITCH, "auto",
		"B-trees from top to bottom (bt_index_parent_check), which blocks writers; auto: while a maintenance window is open for long enough"),
	RANGE_OPTION("sequence_threshold", OPTION_NUMBER, 0, 1, "0.8",
				 "a finding from this used share of a sequence on"),
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* what cannot be checked, and why */
typedef struct LeftOut
{
	int without_rights[AMCHECK_KINDS];
	int without_function[AMCHECK_KINDS];
	int without_check; /* of access methods that amcheck does not know */
} LeftOut;

/*
 * How a relation of this access method is checked; AMCHECK_KINDS: not at all.
 */
static AmcheckKind
kind_for_method(const char *method)
{
	if (strcmp(method, "heap") == 0)
		return AMCHECK_HEAP;
	if (strcmp(method, "btree") == 0)
		return AMCHECK_INDEX;
	if (strcmp(method, "gin") == 0)
		return AMCHECK_GIN;
	return AMCHECK_KINDS;
}

/*
 * Are B-trees to be checked with bt_index_parent_check, under a lock that
 * writers wait for?
 */
static bool
parents_are_due(PlanContext *context, const Amcheck *amcheck)
{
	char *choice = option_text(options, context->options, "parent_check");
	const AmcheckFunction *function =
		&amcheck->functions[AMCHECK_INDEX_WITH_PARENT];
	WindowState window;

	if (strcmp(choice, "auto") != 0)
		return strcmp(choice, "on") == 0 || strcmp(choice, "true") == 0;
	if (!OidIsValid(function->oid) || !function->allowed)
		return false;
	read_window_state(&window);
	return window.open ||
		   option_boolean(options, context->options, "ignore_window");
}

/*
 * Say what is not checked: nobody should take silence for health.
 */
static void
note_left_out(PlanContext *context, const Amcheck *amcheck,
			  const LeftOut *left_out)
{
	int uncheckable = left_out->without_check;

	for (int kind = 0; kind < AMCHECK_KINDS; kind++)
	{
		const AmcheckFunction *function = &amcheck->functions[kind];
		int count = left_out->without_rights[kind];

		if (count > 0)
			plan_finding(
				context, "amcheck", "warning", NULL,
				psprintf(
					"%d relations were not checked, because role %s may "
					"not execute %s: GRANT USAGE ON SCHEMA %s TO %s; "
					"GRANT EXECUTE ON FUNCTION %s TO %s;",
					count,
					quote_identifier(GetUserNameFromId(context->role, false)),
					function->signature, quote_identifier(amcheck->schema),
					quote_identifier(GetUserNameFromId(context->role, false)),
					function->signature,
					quote_identifier(GetUserNameFromId(context->role, false))),
				NULL);
		count = left_out->without_function[kind];
		if (count > 0 && function->refusal != NULL)
			plan_finding(context, "amcheck", "warning", NULL,
						 psprintf("%d relations were not checked, because a "
								  "member of the extension amcheck is not "
								  "called: %s",
								  count, function->refusal),
						 NULL);
		else if (count > 0 && kind != AMCHECK_GIN)
			plan_finding(context, "amcheck", "warning", NULL,
						 psprintf("%d relations were not checked, because "
								  "amcheck %s has no %s: ALTER EXTENSION "
								  "amcheck UPDATE;",
								  count, amcheck->version,
								  amcheck_name((AmcheckKind) kind)),
						 NULL);
		else
			uncheckable += count;
	}
	if (uncheckable > 0)
		plan_finding(context, "amcheck", "info", NULL,
					 psprintf("amcheck %s has no check for %d %s of access "
							  "methods other than B-tree%s",
							  amcheck->version, uncheckable,
							  uncheckable == 1 ? "index" : "indexes",
							  OidIsValid(amcheck->functions[AMCHECK_GIN].oid)
								  ? " and GIN"
								  : ""),
					 NULL);
}

static void
set_check(PlannedTask *task, const Amcheck *amcheck, AmcheckKind kind,
		  const char *evidence)
{
	task->disruptive = kind == AMCHECK_INDEX_WITH_PARENT;
	task->command = amcheck_command(amcheck, kind, task->target);
	task->evidence = psprintf("{\"check\": \"%s\"%s%s", amcheck_name(kind),
							  evidence[1] == '}' ? "" : ", ", evidence + 1);
}

/*
 * Every table and index, least recently checked first; what was never checked
 * comes before all, the largest first.
 */
static void
plan_relations(PlanContext *context, const Amcheck *amcheck)
{
	LedgerQuery query = {0};
	LeftOut left_out = {0};
	bool parents = parents_are_due(context, amcheck);
	bool choosing =
		strcmp(option_text(options, context->options, "parent_check"),
			   "auto") == 0 &&
		OidIsValid(amcheck->functions[AMCHECK_INDEX].oid) &&
		amcheck->functions[AMCHECK_INDEX].allowed;
	double budget = option_seconds(options, context->options, "time_budget");
	uint64 rows;

	bind_selection(context, &query);
	if (budget > 0)
		bind_double(&query, budget);
	else
		bind_null(&query, FLOAT8OID);
	rows = ledger_query(
		&query,
		"SELECT v.relation, pg_catalog.format('%I.%I', v.schema, v.name), "
		"pg_catalog.concat_ws(', ', CASE "
		"WHEN r.relation IS NULL THEN 'never checked' "
		"WHEN r.next_block IS NOT NULL THEN pg_catalog.format('checked up to block %s on %s', "
		"r.next_block, r.begun_at::pg_catalog.date) "
		"WHEN r.last_checked IS NULL OR r.begun_at > r.last_checked THEN "
		"pg_catalog.format('the check of %s did not come to its end', r.begun_at::pg_catalog.timestamptz(0)) "
		"WHEN r.outcome = 'damaged' THEN pg_catalog.format('found damaged on %s', r.problems_at::pg_catalog.date) "
		"ELSE pg_catalog.format('last proven sound on %s', r.last_verified::pg_catalog.date) END, "
		"pg_catalog.pg_size_pretty(z.bytes), "
		"CASE WHEN v.schema = 'pg_toast' THEN 'TOAST of ' || v.table_oid::pg_catalog.regclass::pg_catalog.text END), "
		"true, z.bytes, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
		"'last_verified', r.last_verified, "
		"'until', pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), "
		"'from_block', r.next_block))::pg_catalog.text, "
		"'{}'::pg_catalog.oid[], v.method::pg_catalog.text "
		"FROM pgmaint.checkable_relations v "
		"JOIN pg_catalog.pg_class c ON c.oid = v.relation "
		"JOIN pg_catalog.pg_class b ON b.oid = v.table_oid "
		"JOIN pg_catalog.pg_namespace n ON n.oid = b.relnamespace "
		"LEFT JOIN pgmaint.corruption_results r ON r.relation = v.relation "
		"CROSS JOIN LATERAL (SELECT pgmaint.file_size(c.relfilenode, c.reltablespace, c.relpages) AS bytes) z "
		"WHERE " SELECTION_CONDITION(
			"b.oid", "n.nspname", "$1",
			"$2") "ORDER BY r.begun_at NULLS FIRST, z.bytes DESC, v.relation");
	for (uint64 row = 0; row < rows; row++)
	{
		AmcheckKind kind = kind_for_method(ledger_text(row, 8));
		PlannedTask *task;

		if (kind == AMCHECK_INDEX && parents)
			kind = AMCHECK_INDEX_WITH_PARENT;
		if (kind == AMCHECK_KINDS)
			left_out.without_check++;
		else if (!OidIsValid(amcheck->functions[kind].oid))
			left_out.without_function[kind]++;
		else if (!amcheck->functions[kind].allowed)
			left_out.without_rights[kind]++;
		else
		{
			char *evidence;

			task = task_from_row(context, "check_corruption", row);
			evidence = task->evidence;
			set_check(task, amcheck, kind, evidence);
			if (kind == AMCHECK_INDEX_WITH_PARENT && choosing)
			{
				task->gentler = palloc(sizeof(PlannedTask));
				*task->gentler = *task;
				set_check(task->gentler, amcheck, AMCHECK_INDEX, evidence);
			}
		}
	}
	note_left_out(context, amcheck, &left_out);
}

/*
 * A task about the database as a whole.
 */
static void
plan_for_database(PlanContext *context, const char *check, const char *command,
				  const char *reason)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "check_corruption";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = pstrdup(command);
	task->reason = pstrdup(reason);
	task->evidence = psprintf("{\"check\": \"%s\"}", check);
	task->bytes = -1;
	context->tasks = lappend(context->tasks, task);
}

static void
plan_check_corruption(PlanContext *context)
{
	bool everything = !option_given(context->options, "tables") &&
					  !option_given(context->options, "schemas");
	Amcheck amcheck;

	find_amcheck(context->role, &amcheck);
	if (amcheck.version == NULL)
		plan_finding(
			context, "amcheck", "warning", NULL,
			psprintf(
				"no table and no index was checked, because the extension "
				"amcheck is not installed in database %s: CREATE "
				"EXTENSION amcheck;",
				quote_identifier(get_database_name(MyDatabaseId))),
			NULL);
	if (everything)
	{
		plan_for_database(context, "sequences",
						  "SELECT * FROM pgmaint.sequence_usage",
						  "a sequence that is used up stops every INSERT");
		plan_for_database(context, "constraints",
						  "SELECT * FROM pgmaint.unvalidated_constraints",
						  "rows may break a constraint that was never "
						  "validated");
	}
	if (amcheck.version != NULL)
		plan_relations(context, &amcheck);
	/* what the checks themselves come across counts, too */
	if (everything)
		plan_for_database(
			context, "checksums",
			"SELECT datname, checksum_failures FROM pg_catalog.pg_stat_database",
			"pages whose checksum was wrong since the last look");
	if (amcheck.version != NULL)
		plan_for_database(context, "coverage",
						  "SELECT * FROM pgmaint.corruption_checks",
						  "what is left for the next run");
}

const Action check_corruption_action = {
	.name = "check_corruption",
	.description =
		"check tables and indexes with amcheck, least recently checked first; checksum failures, sequences near their end, constraints that were never validated",
	.options = options,
	.plan = plan_check_corruption,
	.consider = consider_check,
	.execute = execute_check,
};
