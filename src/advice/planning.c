/*-------------------------------------------------------------------------
 *
 * planning.c
 *	  Planning counted statements, with indexes that could be.
 *
 * Nothing is executed.  What planning itself runs, it runs as a role that may
 * (trust.c), in a security-restricted operation and a read-only
 * subtransaction that is rolled back in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
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
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "advice/demand.h"
#include "advice/hypothetical.h"
#include "advice/planning.h"
#include "advice/trust.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/subtransaction.h"

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

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static void
become(Oid role, int security_context)
{
	SetUserIdAndSecContext(role, security_context |
									 SECURITY_RESTRICTED_OPERATION |
									 SECURITY_LOCAL_USERID_CHANGE);
}

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
	int security_context;
	Oid user;
	RawStmt *raw;
	List *literals;
	List *rewritten;
	Query *query;

	GetUserIdAndSecContext(&user, &security_context);
	XactReadOnly = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	/* pgmaint's own limit, unless the session's is shorter */
	if (LockTimeout == 0 || LockTimeout > pgmaint_lock_timeout)
		set("lock_timeout", psprintf("%d", pgmaint_lock_timeout));
	become(statement->role, security_context);
	/* the caller's temporary tables are nobody else's */
	set("search_path", strstr(statement->search_path, "pg_temp") != NULL
						   ? statement->search_path
						   : psprintf("%s, pg_temp", statement->search_path));

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

	become(role_to_plan_as(query, statement->role, attempt->caller),
		   security_context);
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
	ErrorData *error;

	if (!has_privs_of_role(attempt.caller, statement->role))
		return psprintf(
			"you have not the rights of the role that executed it");
	error = try_and_undo(attempt_query, &attempt);
	if (error == NULL)
		return NULL;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_INSUFFICIENT_RESOURCES)
		ReThrowError(error);
	return error->message;
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
	get_relation_info_hook_type info_hook = get_relation_info_hook;
	set_rel_pathlist_hook_type path_hook = set_rel_pathlist_hook;
	PlannedStmt *plan = NULL;
	Query *copy = copyObject(query);

	CHECK_FOR_INTERRUPTS();
	copy->queryId = QUERY_FOR_ADVICE;
	PG_TRY();
	{
		pretend_indexes(candidates, info_hook);
		get_relation_info_hook = add_pretended_indexes;
		if (demands != NULL)
		{
			collect_demands(demands, path_hook);
			set_rel_pathlist_hook = collect_demand;
		}
		/* past the hooks of others, who would count it */
		plan = standard_planner(copy, "", CURSOR_OPT_PARALLEL_OK, NULL);
	}
	PG_FINALLY();
	{
		get_relation_info_hook = info_hook;
		set_rel_pathlist_hook = path_hook;
	}
	PG_END_TRY();
	return plan;
}
