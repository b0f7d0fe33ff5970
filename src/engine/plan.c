/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Plans: their steps, and the options that a run adds to them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "action/option_values.h"
#include "engine/actions.h"
#include "engine/plan.h"

static char *
value_text(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static const Action *
require_action(const char *name)
{
	const Action *action = find_action(name);

	if (action == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("action \"%s\" does not exist", name),
						errhint("Valid actions are: %s.", list_actions())));
	return action;
}

static void
complain_about_steps(const char *plan, int number)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 number == 0
			 ? errmsg(
				   "the steps of plan \"%s\" must be an array with at least one step",
				   plan)
			 : errmsg("invalid step %d of plan \"%s\"", number, plan),
		 errhint(
			 "Write a step as the name of an action, or as an object such as {\"action\": \"vacuum\", \"options\": {\"scope\": \"all\"}}.")));
}

/*
 * One step that is written as an object.
 */
static Step *
parse_step(const char *plan, int number, JsonbContainer *container)
{
	Step *step = palloc0(sizeof(Step));
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue element;
	char *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value_text(&element);
		if (token != WJB_VALUE)
			continue;
		if (strcmp(name, "action") == 0 && element.type == jbvString)
			step->action = require_action(value_text(&element));
		else if (strcmp(name, "options") == 0 && element.type == jbvBinary &&
				 JsonContainerIsObject(element.val.binary.data))
			step->options = JsonbValueToJsonb(&element);
		else
			complain_about_steps(plan, number);
	}
	if (step->action == NULL)
		complain_about_steps(plan, number);
	return step;
}

/*
 * A list of steps from JSON.  Their options are not checked here.
 */
List *
parse_steps(const char *plan, Jsonb *steps)
{
	List *list = NIL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue element;

	if (!JB_ROOT_IS_ARRAY(steps) || JB_ROOT_IS_SCALAR(steps) ||
		JB_ROOT_COUNT(steps) == 0)
		complain_about_steps(plan, 0);
	iterator = JsonbIteratorInit(&steps->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		int number = list_length(list) + 1;

		if (token != WJB_ELEM)
			continue;
		if (element.type == jbvString)
		{
			Step *step = palloc0(sizeof(Step));

			step->action = require_action(value_text(&element));
			list = lappend(list, step);
		}
		else if (element.type == jbvBinary &&
				 JsonContainerIsObject(element.val.binary.data))
			list = lappend(list,
						   parse_step(plan, number, element.val.binary.data));
		else
			complain_about_steps(plan, number);
	}
	return list;
}

/*
 * Options b on top of options a; either may be NULL.
 */
static Jsonb *
merge_options(Jsonb *a, Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(a),
											  JsonbPGetDatum(b)));
}

/*
 * Is an option of a run an object with the options of one action?  An option
 * of another action may have the same name, but its value is no object.
 */
static bool
is_for_one_action(Jsonb *options, const char *name)
{
	JsonbValue *value = json_field(options, name);

	return find_action(name) != NULL && value != NULL &&
		   value->type == jbvBinary &&
		   JsonContainerIsObject(value->val.binary.data);
}

/*
 * Apply the options of a run to the steps that have them, or, under the name
 * of an action, to its steps only.  An option that no step has is an error.
 */
static void
distribute_options(const char *plan, List *steps, Jsonb *options)
{
	List *known = NIL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue element;
	ListCell *cell;

	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object")));

	/* the general ones */
	foreach (cell, steps)
	{
		Step *step = lfirst(cell);
		Jsonb *mine = options;

		iterator = JsonbIteratorInit(&options->root);
		while ((token = JsonbIteratorNext(&iterator, &element, true)) !=
			   WJB_DONE)
		{
			char *name;

			if (token != WJB_KEY)
				continue;
			name = value_text(&element);
			if (find_option(step->action->options, name) != NULL &&
				!is_for_one_action(options, name))
				known = lappend(known, makeString(name));
			else
				mine = DatumGetJsonbP(
					DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(mine),
										CStringGetTextDatum(name)));
		}
		step->options = merge_options(step->options, mine);
	}

	/* those for one action */
	foreach (cell, steps)
	{
		Step *step = lfirst(cell);

		if (!is_for_one_action(options, step->action->name))
			continue;
		step->options = merge_options(
			step->options,
			JsonbValueToJsonb(json_field(options, step->action->name)));
		known = lappend(known, makeString(pstrdup(step->action->name)));
	}

	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		StringInfoData hint;
		char *name;

		if (token != WJB_KEY)
			continue;
		name = value_text(&element);
		if (list_member(known, makeString(name)))
			continue;
		initStringInfo(&hint);
		foreach (cell, steps)
		{
			Step *step = lfirst(cell);

			appendStringInfo(
				&hint, "%s%s of action \"%s\"", hint.len > 0 ? "; " : "",
				list_options(step->action->options), step->action->name);
		}
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized option \"%s\" for plan \"%s\"",
							   name, plan),
						errhint("Valid options are: %s.", hint.data)));
	}
}

/*
 * Tables are named in the caller's search path, which workers do not have:
 * qualify their names.  Tables as patterns, which may be of another database,
 * stay as they are.
 */
static Jsonb *
qualify_tables(const ActionOption *known, Jsonb *options)
{
	const ActionOption *tables = find_option(known, "tables");
	StringInfoData json;
	ListCell *cell;

	if (tables == NULL || tables->kind != OPTION_RELATIONS ||
		!option_given(options, "tables"))
		return options;
	initStringInfo(&json);
	foreach (cell, option_names(options, "tables"))
	{
		RangeVar *range = makeRangeVarFromNameList(
			textToQualifiedNameList(cstring_to_text(lfirst(cell))));
		Oid relation = RangeVarGetRelid(range, NoLock, false);

		appendStringInfoString(&json, json.len == 0 ? "{\"tables\": [" : ", ");
		escape_json(&json, quote_qualified_identifier(
							   get_namespace_name(get_rel_namespace(relation)),
							   get_rel_name(relation)));
	}
	appendStringInfoString(&json, "]}");
	return merge_options(options, DatumGetJsonbP(DirectFunctionCall1(
									  jsonb_in, CStringGetDatum(json.data))));
}

/*
 * Check the options of every step with the rights of the caller.
 */
void
check_steps(List *steps)
{
	ListCell *cell;

	foreach (cell, steps)
	{
		Step *step = lfirst(cell);

		check_options(step->action->name, step->action->options,
					  step->options);
		step->options = qualify_tables(step->action->options, step->options);
	}
}

/*
 * The stored steps of a plan.  A user's plan precedes a built-in one.
 */
static Jsonb *
load_plan(const char *plan)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	Jsonb *steps;
	bool isnull;

	ledger_enter(&scope);
	bind_text(&query, plan);
	if (ledger_query(
			&query,
			"SELECT s.steps FROM (SELECT d.steps, 1 AS nth FROM pgmaint.plan_definitions d "
			"WHERE d.plan = $1 UNION ALL SELECT b.steps, 2 FROM pgmaint_internal.built_in_plans() b "
			"WHERE b.plan = $1) s ORDER BY s.nth LIMIT 1") == 0)
	{
		char *names;

		(void) ledger_query(
			&query,
			"SELECT pg_catalog.string_agg(p.plan, ', ' ORDER BY p.plan) FROM (SELECT d.plan "
			"FROM pgmaint.plan_definitions d UNION SELECT b.plan "
			"FROM pgmaint_internal.built_in_plans() b WHERE $1 IS NOT NULL) p");
		names = ledger_text(0, 1);
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("plan \"%s\" does not exist", plan),
						errhint("Valid plans are: %s.", names)));
	}
	steps = DatumGetJsonbPCopy(ledger_datum(0, 1, &isnull));
	ledger_leave(&scope);
	return steps;
}

/*
 * The steps of a plan with the options of a run, checked.
 */
List *
steps_of_plan(const char *plan, Jsonb *options)
{
	List *steps = parse_steps(plan, load_plan(plan));

	distribute_options(plan, steps, options);
	check_steps(steps);
	return steps;
}

/*
 * One action by itself.
 */
List *
step_of_action(const char *action, Jsonb *options)
{
	Step *step = palloc0(sizeof(Step));
	List *steps;

	step->action = require_action(action);
	step->options = options;
	if (options != NULL && !JB_ROOT_IS_OBJECT(options))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object")));
	steps = list_make1(step);
	check_steps(steps);
	return steps;
}

/*
 * The format in which steps are kept with the run.
 */
Jsonb *
steps_to_jsonb(List *steps)
{
	StringInfoData json;
	ListCell *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach (cell, steps)
	{
		Step *step = lfirst(cell);

		appendStringInfo(&json, "%s{\"action\": \"%s\"",
						 json.len > 1 ? ", " : "", step->action->name);
		if (step->options != NULL)
		{
			appendStringInfoString(&json, ", \"options\": ");
			(void) JsonbToCString(&json, &step->options->root,
								  VARSIZE(step->options));
		}
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return DatumGetJsonbP(
		DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/*
 * Call the survey function of a step's action, which uses transactions of its
 * own.
 */
void
survey_step(PlanContext *context, const Step *step)
{
	context->options = step->options;
	context->surveyed_since = GetCurrentTimestamp();
	step->action->survey(context);
}

/*
 * Call the plan function of a step's action.  The caller is inside a ledger
 * scope.
 */
void
plan_step(PlanContext *context, const Step *step)
{
	context->options = step->options;
	context->tasks = NIL;
	context->findings = NIL;
	context->failures = NIL;
	step->action->plan(context);
}
