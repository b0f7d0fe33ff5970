/*-------------------------------------------------------------------------
 *
 * planning.c
 *	  Planning of counted statements with hypothetical indexes.
 *
 * No statement is executed.  Functions that planning calls run as a role that
 * may call them (trust.c), and their changes are rolled back (as_role.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "advice/demand.h"
#include "advice/guess.h"
#include "advice/hypothetical.h"
#include "advice/planning.h"
#include "advice/query_mark.h"
#include "advice/trust.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "exec/as_role.h"

typedef struct Attempt
{
	const Statement *statement;
	Oid caller;
	MemoryContext results;
	QueryWork work;
	void *argument;
} Attempt;

/* a statement's text on its way to a query */
typedef struct Analysis
{
	const char *text;
	List *literals;
	Query *query;
} Analysis;

/*
 * How many rows LIMIT leaves is not known where it is a parameter, but how
 * many came out on average is.
 */
static void
guess_limit(Query *query, const Statement *statement)
{
	double rows =
		statement->calls > 0 ? statement->rows / statement->calls : 0;

	if (query->limitCount == NULL || query->limitOffset != NULL ||
		IsA(query->limitCount, Const))
		return;
	query->limitCount = (Node *) makeConst(
		INT8OID, -1, InvalidOid, sizeof(int64),
		Int64GetDatum((int64) Max(1, ceil(rows))), false, FLOAT8PASSBYVAL);
}

static void
analyze(void *argument)
{
	Analysis *analysis = argument;
	ParseState *source = make_parsestate(NULL);
	Oid *types = NULL;
	int count = 0;
	RawStmt *raw;

	raw = parse_as_select(analysis->text);
	analysis->literals = hide_literals(raw);
	source->p_sourcetext = analysis->text;
	setup_parse_variable_parameters(source, &types, &count);
	analysis->query = transformTopLevelStmt(source, raw);
	check_variable_parameters(source, analysis->query);
	free_parsestate(source);
}

/*
 * Types of parameters are found by how they are used, once more with the
 * intervals that the text does not show.
 */
static void
analyze_text(Analysis *analysis)
{
	const char *text = analysis->text;
	ErrorData *error = try_in_subtransaction(analyze, analysis);

	if (error == NULL)
		return;
	analysis->text = cast_to_intervals(text);
	if (error->sqlerrcode != ERRCODE_UNDEFINED_FUNCTION ||
		strcmp(analysis->text, text) == 0)
		ReThrowError(error);
	analyze(analysis);
}

/*
 * Analyze and rewrite a statement as the role that executed it, which calls no
 * functions, then plan it as a role that may call its functions.
 */
static void
attempt_query(void *argument)
{
	Attempt *attempt = argument;
	const Statement *statement = attempt->statement;
	Analysis analysis = {statement->text, NIL, NULL};
	List *rewritten;
	Query *query;

	analyze_text(&analysis);
	rewritten = QueryRewrite(analysis.query);
	if (list_length(rewritten) != 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("rules rewrite the statement into several statements")));
	query = linitial_node(Query, rewritten);

	become_restricted(
		role_to_plan_as(query, statement->role, attempt->caller));
	query = restore_literals(query, analysis.literals);
	guess_limit(query, statement);
	guess_values(query, statement);
	MemoryContextSwitchTo(attempt->results);
	attempt->work(query, attempt->argument);
}

/*
 * Have a statement planned by the given function, whose results are made in
 * the current memory context.  Returns why that cannot be, or NULL.
 */
char *
with_query(const Statement *statement, QueryWork work, void *argument)
{
	Attempt attempt = {statement, GetUserId(), CurrentMemoryContext, work,
					   argument};

	if (!has_privs_of_role(attempt.caller, statement->role))
		return psprintf(
			"permission denied to plan statements of role \"%s\"",
			NameStr(*DatumGetName(DirectFunctionCall1(
				pg_get_userbyid, ObjectIdGetDatum(statement->role)))));
	return try_as_role(statement->role, statement->search_path, attempt_query,
					   &attempt);
}

/*
 * Plan a query as if there were these indexes, too.  With demands, its
 * conditions are collected in there.
 */
PlannedStmt *
plan_with_indexes(Query *query, List *candidates, List **demands)
{
	TableInfoHook info_hook = table_info_hook;
	set_rel_pathlist_hook_type path_hook = set_rel_pathlist_hook;
	PlannedStmt *plan = NULL;
	Query *copy = copyObject(query);

	CHECK_FOR_INTERRUPTS();
	mark_for_advice(copy);
	PG_TRY();
	{
		pretend_indexes(candidates, info_hook);
		table_info_hook = add_pretended_indexes;
		if (demands != NULL)
		{
			collect_demands(demands, path_hook);
			set_rel_pathlist_hook = collect_demand;
		}
		/* without the hooks of other extensions, which would count it */
		plan = plan_past_hooks(copy);
	}
	PG_FINALLY();
	{
		table_info_hook = info_hook;
		set_rel_pathlist_hook = path_hook;
	}
	PG_END_TRY();
	return plan;
}
