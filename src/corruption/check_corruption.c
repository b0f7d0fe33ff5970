/*-------------------------------------------------------------------------
 *
 * check_corruption.c
 *	  The action "check_corruption": is what is on disk still what was
 *	  written, and what will break next?
 *
 * The room corruption: the search for damage on disk, and for what will
 * break next.
 *
 * One task for each table and each index, least recently checked first, as
 * far as the time goes; and one for each thing that is looked at in the
 * database as a whole.
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
		"no check begins, and none of a large table goes on, when this has passed since the checks were planned; 0: no limit"),
	PLAIN_OPTION(
		"parent_check", OPTION_SWITCH, "auto",
		"B-trees from top to bottom (bt_index_parent_check), which blocks writers; auto: while a maintenance window is open for long enough"),
	RANGE_OPTION("sequence_threshold", OPTION_NUMBER, 0, 1, "0.8",
				 "a finding from this used share of a sequence on"),
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

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
			plan_finding(context, "amcheck", "warning", NULL,
						 psprintf("%lld relations were not checked, because a "
								  "member of the extension amcheck is not "
								  "called: %s",
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
		plan_finding(context, "amcheck", "info", NULL,
					 psprintf("amcheck %s has no check for %lld %s of access "
							  "methods other than B-tree%s",
							  amcheck->version, uncheckable,
							  uncheckable == 1 ? "index" : "indexes",
							  OidIsValid(amcheck->functions[AMCHECK_GIN].oid)
								  ? " and GIN"
								  : ""),
					 NULL);
}

/*
 * Tables and indexes.  Returns how many could be checked and are not planned,
 * because the time does not go as far.
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
	/* some may have come since they were counted */
	return Max(left, 0);
}

/*
 * A task about the database as a whole.
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
			"a sequence that is used up stops every INSERT");
		(void) plan_for_database(
			context, "constraints",
			"SELECT * FROM pgmaint.unvalidated_constraints",
			"rows may break a constraint that was never "
			"validated");
	}
	if (amcheck.version != NULL)
		left = plan_relations(context, &amcheck);
	/* what the checks themselves come across counts, too */
	if (everything)
		(void) plan_for_database(
			context, "checksums",
			"SELECT datname, checksum_failures FROM pg_catalog.pg_stat_database",
			"pages whose checksum was wrong since the last look");
	if (amcheck.version != NULL)
	{
		PlannedTask *coverage = plan_for_database(
			context, "coverage", "SELECT * FROM pgmaint.corruption_checks",
			"what is left for the next run");

		if (left > 0)
		{
			coverage->reason = psprintf(
				"%lld tables and indexes are left for the next run, because "
				"time_budget does not reach them",
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
		"check tables and indexes with amcheck, least recently checked first; checksum failures, sequences near their end, constraints that were never validated",
	.options = options,
	.plan = plan_check_corruption,
	.consider = consider_check,
	.execute = execute_check,
	.describe = describe_check,
};
