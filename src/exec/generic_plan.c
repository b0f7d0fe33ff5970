/*-------------------------------------------------------------------------
 *
 * generic_plan.c
 *	  The plan of a statement whose parameters have no values, as
 *	  pg_stat_statements shows it.
 *
 * The plan comes from the server's own EXPLAIN, so that extensions with hooks in
 * it, such as hypopg, take part.  EXPLAIN accepts such statements from 16 on.
 * For older servers, the parser has to accept parameters, and the executor must
 * not look at their values when it prunes partitions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/compat.h"
#include "exec/generic_plan.h"

PG_FUNCTION_INFO_V1(pgmaint_generic_plan);

/* where EXPLAIN sends its one row */
typedef struct Document
{
	DestReceiver receiver;
	char *text;
} Document;

static bool
take_document(TupleTableSlot *slot, DestReceiver *self)
{
	bool isnull;
	Datum value = slot_getattr(slot, 1, &isnull);

	((Document *) self)->text = TextDatumGetCString(value);
	return true;
}

static void
start_document(DestReceiver *self, int operation, TupleDesc descriptor)
{
}

static void
end_document(DestReceiver *self)
{
}

#if SERVER_HAS_GENERIC_PLAN

static void
explain(PlannedStmt *command, const char *query, DestReceiver *receiver)
{
	ProcessUtility(command, query, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   receiver, NULL);
}

#else

/*
 * Show all partitions of the plan.  The executor would prune them by the
 * values of parameters.
 */
static void
/* NOLINTNEXTLINE(misc-no-recursion): a plan is a tree */
forget_pruning(Plan *plan)
{
	List *children = NIL;
	ListCell *cell;

	check_stack_depth();
	if (plan == NULL)
		return;
	switch (nodeTag(plan))
	{
		case T_Append:
			((Append *) plan)->part_prune_info = NULL;
			children = ((Append *) plan)->appendplans;
			break;
		case T_MergeAppend:
			((MergeAppend *) plan)->part_prune_info = NULL;
			children = ((MergeAppend *) plan)->mergeplans;
			break;
		case T_SubqueryScan:
			forget_pruning(((SubqueryScan *) plan)->subplan);
			break;
		case T_CustomScan:
			children = ((CustomScan *) plan)->custom_plans;
			break;
		default:
			break;
	}
	foreach (cell, children)
		forget_pruning(lfirst(cell));
	forget_pruning(plan->lefttree);
	forget_pruning(plan->righttree);
}

/*
 * What EXPLAIN does with each query, with forget_pruning() in between.
 */
static void
explain_one_query(Query *query, int cursor_options, IntoClause *into,
				  ExplainState *state, const char *source,
				  ParamListInfo parameters, QueryEnvironment *environment)
{
	PlannedStmt *plan =
		pg_plan_query(query, source, cursor_options, parameters);
	ListCell *cell;

	forget_pruning(plan->planTree);
	foreach (cell, plan->subplans)
		forget_pruning(lfirst(cell));
	ExplainOnePlan(plan, into, state, source, parameters, environment, NULL,
				   NULL);
}

static void
explain(PlannedStmt *command, const char *query, DestReceiver *receiver)
{
	ExplainOneQuery_hook_type previous = ExplainOneQuery_hook;

	PG_TRY();
	{
		ExplainOneQuery_hook = explain_one_query;
		ProcessUtility(command, query, false, PROCESS_UTILITY_QUERY, NULL,
					   NULL, receiver, NULL);
	}
	PG_FINALLY();
	{
		ExplainOneQuery_hook = previous;
	}
	PG_END_TRY();
}

#endif

/*
 * Add the query to the context of errors: positions do not refer to the text
 * that the client sent.
 */
static void
add_query(void *arg)
{
	const char *query = arg;
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(query);
	}
	else
		errcontext("generic plan of %s", query);
}

/*
 * SELECT INTO is a SELECT in the grammar; in a UNION, the first one.
 */
static bool
is_select_into(Node *statement)
{
	SelectStmt *select;

	if (!IsA(statement, SelectStmt))
		return false;
	select = (SelectStmt *) statement;
	while (select->larg != NULL)
		select = select->larg;
	return select->intoClause != NULL;
}

/*
 * Parse the query, and refuse anything but one statement that has a plan.
 * After this, its text cannot turn the EXPLAIN into another statement.
 */
static RawStmt *
parse_query(const char *query)
{
	List *parsed = pg_parse_query(query);
	RawStmt *raw;
	Node *statement;

	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query must be one statement, not %d",
						list_length(parsed)),
				 errhint("Give one SELECT, INSERT, UPDATE, DELETE, MERGE or "
						 "VALUES statement.")));
	raw = linitial_node(RawStmt, parsed);
	statement = raw->stmt;
	if (is_select_into(statement) ||
		!(IsA(statement, SelectStmt) || IsA(statement, InsertStmt) ||
		  IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt) ||
		  is_merge(statement)))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s has no generic plan",
					is_select_into(statement) ? "SELECT INTO"
											  : CreateCommandName(statement)),
			 errhint("Give one SELECT, INSERT, UPDATE, DELETE, MERGE or "
					 "VALUES statement.")));
	return raw;
}

/*
 * Wrap a statement into EXPLAIN, and infer the types of its parameters from
 * their context, as PREPARE does.
 */
static PlannedStmt *
make_explain(RawStmt *raw, const char *query)
{
	ExplainStmt *command = makeNode(ExplainStmt);
	ParseState *source = make_parsestate(NULL);
	Oid *types = NULL;
	int count = 0;
	Query *analyzed;

	command->query = raw->stmt;
	command->options =
		list_make1(makeDefElem("format", (Node *) makeString("json"), -1));
	if (SERVER_HAS_GENERIC_PLAN)
		command->options =
			lappend(command->options, makeDefElem("generic_plan", NULL, -1));
	raw->stmt = (Node *) command;

	source->p_sourcetext = query;
	setup_parse_variable_parameters(source, &types, &count);
	analyzed = transformTopLevelStmt(source, raw);
	check_variable_parameters(source, castNode(Query, command->query));
	free_parsestate(source);
	return linitial_node(
		PlannedStmt, pg_plan_queries(list_make1(analyzed), query, 0, NULL));
}

/*
 * The plan of a query, in the format of EXPLAIN (FORMAT JSON).  Nothing is
 * executed, except for functions that planning calls.
 */
char *
generic_plan_of(char *query)
{
	Document document = {
		{take_document, start_document, end_document, end_document, DestNone},
		NULL};
	ErrorContextCallback context = {error_context_stack, add_query, query};

	error_context_stack = &context;
	explain(make_explain(parse_query(query), query), query,
			&document.receiver);
	error_context_stack = context.previous;
	return document.text;
}

/*
 * pgmaint.generic_plan(query text) returns jsonb
 */
Datum
pgmaint_generic_plan(PG_FUNCTION_ARGS)
{
	char *plan;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the query must not be null")));
	plan = generic_plan_of(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(plan));
}
