/*-------------------------------------------------------------------------
 *
 * planning.c
 *	  Planning counted statements, with indexes that could be.
 *
 * Nothing is executed.  What planning itself runs, it runs as a role that may
 * (trust.c), and leaves nothing behind (as_role.c).
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

#include "advice/demand.h"
#include "advice/hypothetical.h"
#include "advice/planning.h"
#include "advice/trust.h"
#include "base/compat.h"
#include "exec/as_role.h"

/* tells our own queries from others that are planned meanwhile */
#define QUERY_FOR_ADVICE INT64CONST(0x70676d61696e7421)

typedef struct Attempt
{
	const Statement *statement;
	Oid caller;
	MemoryContext results;
	QueryWork work;
	void *argument;
} Attempt;

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

/*
 * Analyze and rewrite a statement as the role that executed it, which executes
 * nothing, and hand it on to be planned as a role that may.
 */
static void
attempt_query(void *argument)
{
	Attempt *attempt = argument;
	const Statement *statement = attempt->statement;
	ParseState *source = make_parsestate(NULL);
	Oid *types = NULL;
	int count = 0;
	RawStmt *raw;
	List *literals;
	List *rewritten;
	Query *query;

	raw = parse_as_select(statement->text);
	literals = hide_literals(raw);
	source->p_sourcetext = statement->text;
	setup_parse_variable_parameters(source, &types, &count);
	query = transformTopLevelStmt(source, raw);
	check_variable_parameters(source, query);
	free_parsestate(source);
	rewritten = QueryRewrite(query);
	if (list_length(rewritten) != 1)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("rules make several statements of it")));
	query = linitial_node(Query, rewritten);

	become_restricted(
		role_to_plan_as(query, statement->role, attempt->caller));
	query = restore_literals(query, literals);
	guess_limit(query, statement);
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
			"you have not the rights of the role that executed it");
	return try_as_role(statement->role, statement->search_path, attempt_query,
					   &attempt);
}

/*
 * Functions that are computed while we plan may have queries planned, too, and
 * then execute them: these must know nothing of indexes that do not exist.
 */
bool
is_planned_for_advice(PlannerInfo *root)
{
	while (root->parent_root != NULL)
		root = root->parent_root;
	return root->parse->queryId == QUERY_FOR_ADVICE;
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
	copy->queryId = QUERY_FOR_ADVICE;
	PG_TRY();
	{
		pretend_indexes(candidates, info_hook);
		table_info_hook = add_pretended_indexes;
		if (demands != NULL)
		{
			collect_demands(demands, path_hook);
			set_rel_pathlist_hook = collect_demand;
		}
		/* past the hooks of others, who would count it */
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
