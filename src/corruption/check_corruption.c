/*-------------------------------------------------------------------------
 *
 * check_corruption.c
 *	  The action "check_corruption": search for damage on disk, and for
 *	  sequences and constraints that are about to fail.
 *
 * The room corruption: checks of tables, indexes and the database as a whole.
 * One task for each table and each index, least recently checked first, within
 * the time budget; and one for each check of the whole database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "action/result.h"
#include "action/selection.h"
#include "corruption/amcheck.h"
#include "corruption/corruption_plan.h"
#include "corruption/corruption_task.h"
#include "ledger/windows.h"

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION(
		"time_budget", OPTION_DURATION, "1 hour",
		"begin no check, and continue none of a large table, when this much time has passed since the checks were planned; 0: no limit"),
	PLAIN_OPTION(
		"parent_check", OPTION_SWITCH, "auto",
		"check B-trees from top to bottom (bt_index_parent_check), which blocks writers; auto: while a maintenance window is open for long enough"),
	RANGE_OPTION(
		"sequence_threshold", OPTION_NUMBER, 0, 1, "0.8",
		"report sequences that have used at least this share of their values"),
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/*
 * Should B-trees be checked with bt_index_parent_check, under a lock that
 * blocks writers?
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
 * Report the relations that are not checked: a run without findings must not
 * suggest that they are sound.
 */
static void
note_left_out(PlanContext *context, const Amcheck *amcheck,
			  const Checkable *checkable)
{
	long long uncheckable = checkable->without_check;

	for (int kind = 0; kind < AMCHECK_KINDS; kind++)
	{
		const AmcheckFunction *function = &amcheck->functions[kind];
		long long count = checkable->by_kind[kind];

		if (count == 0 || can_be_checked(amcheck, kind))
			continue;
		if (OidIsValid(function->oid))
			plan_finding(
				context, "amcheck", "warning", NULL,
				psprintf(
					"%lld relations were not checked, because role %s may "
					"not execute %s: GRANT USAGE ON SCHEMA %s TO %s; "
					"GRANT EXECUTE ON FUNCTION %s TO %s;",
					count,
					quote_identifier(GetUserNameFromId(context->role, false)),
					function->signature, quote_identifier(amcheck->schema),
					quote_identifier(GetUserNameFromId(context->role, false)),
					function->signature,
					quote_identifier(GetUserNameFromId(context->role, false))),
				NULL);
		else if (function->refusal != NULL)
			plan_finding(
				context, "amcheck", "warning", NULL,
				psprintf(
					"%lld relations were not checked, because pgmaint does not call a function of the extension amcheck: %s",
					count, function->refusal),
				NULL);
		else if (kind != AMCHECK_GIN)
			plan_finding(context, "amcheck", "warning", NULL,
						 psprintf("%lld relations were not checked, because "
								  "amcheck %s has no %s: ALTER EXTENSION "
								  "amcheck UPDATE;",
								  count, amcheck->version,
								  amcheck_name((AmcheckKind) kind)),
						 NULL);
		else
			uncheckable += count;
	}
	if (uncheckable > 0)
		plan_finding(
			context, "amcheck", "info", NULL,
			psprintf(
				"amcheck %s cannot check %lld %s of access methods other than B-tree%s",
				amcheck->version, uncheckable,
				uncheckable == 1 ? "index" : "indexes",
				OidIsValid(amcheck->functions[AMCHECK_GIN].oid) ? " and GIN"
																: ""),
			NULL);
}

/*
 * Plan the checks of tables and indexes.  Returns how many could be checked
 * and are not planned, because the time budget does not reach them.
 */
static int64
plan_relations(PlanContext *context, const Amcheck *amcheck)
{
	bool parents = parents_are_due(context, amcheck);
	const AmcheckFunction *gentle = &amcheck->functions[AMCHECK_INDEX];
	Checkable checkable;
	CheckPlan plan = {
		.amcheck = amcheck,
		.parents = parents,
		.gently_also =
			strcmp(option_text(options, context->options, "parent_check"),
				   "auto") == 0 &&
			OidIsValid(gentle->oid) && gentle->allowed,
		.any_time = option_boolean(options, context->options, "ignore_window"),
		.budget = option_seconds(options, context->options, "time_budget"),
	};
	int64 left = 0;

	count_checkable(context, &plan, &checkable);
	note_left_out(context, amcheck, &checkable);
	for (int kind = 0; kind < AMCHECK_KINDS; kind++)
	{
		if (can_be_checked(amcheck, kind))
			left += checkable.by_kind[kind];
	}
	left -= plan_checks(context, &plan);
	/* relations may have been created since they were counted */
	return Max(left, 0);
}

/*
 * Plan a task about the database as a whole.
 */
static PlannedTask *
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
	return task;
}

static void
plan_check_corruption(PlanContext *context)
{
	bool everything = !option_given(context->options, "tables") &&
					  !option_given(context->options, "schemas");
	Amcheck amcheck;
	int64 left = 0;

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
		(void) plan_for_database(
			context, "sequences", "SELECT * FROM pgmaint.sequence_usage",
			"INSERT fails when a sequence has no values left");
		(void) plan_for_database(
			context, "constraints",
			"SELECT * FROM pgmaint.unvalidated_constraints",
			"rows may violate constraints that were never validated");
	}
	if (amcheck.version != NULL)
		left = plan_relations(context, &amcheck);
	/* after the checks of relations: failures that these meet count too */
	if (everything)
		(void) plan_for_database(
			context, "checksums",
			"SELECT datname, checksum_failures FROM pg_catalog.pg_stat_database",
			"pages may have failed their checksum since the last run");
	if (amcheck.version != NULL)
	{
		PlannedTask *coverage = plan_for_database(
			context, "coverage", "SELECT * FROM pgmaint.corruption_checks",
			"coverage of the checks, and relations left for the next run");

		if (left > 0)
		{
			coverage->reason = psprintf(
				"time_budget is too short for %lld tables and indexes, which are left for the next run",
				(long long) left);
			coverage->evidence =
				psprintf("{\"check\": \"coverage\", \"beyond_budget\": %lld}",
						 (long long) left);
		}
	}
}

static char *
describe_check(const ClaimedTask *task, Jsonb *result)
{
	return result_text(result, "found");
}

DEFINE_ACTION(check_corruption) = {
	.name = "check_corruption",
	.description =
		"check tables and indexes with amcheck, least recently checked first; report checksum failures, sequences near their end, and constraints that were never validated",
	.options = options,
	.plan = plan_check_corruption,
	.consider = consider_check,
	.execute = execute_check,
	.describe = describe_check,
};
