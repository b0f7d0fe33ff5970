/*-------------------------------------------------------------------------
 *
 * trusted.c
 *	  Protects work with rights from functions of other roles.
 *
 * Planning a query calls functions: those that it folds into constants, those
 * behind operators whose selectivity it estimates, input functions of types,
 * checks of domains.  Their owners can put any code into them, which would be
 * executed with the rights of the role that plans.  A role accepts this when it
 * executes a query, but not when pgmaint plans the query later.  So a function
 * is called only if its owner has the rights of the current user anyway.
 *
 * Every role may call the server's own functions.  The planner calls the stable
 * ones for its estimates, and among these is table_to_xml(), which executes the
 * query of a view.  So a query is planned only if the owners of its views,
 * policies and rules have the rights of the current user, too.
 *
 * The function manager asks at each call, unless the function was looked up
 * before, and the lookup was kept.  Plans keep it, and are planned again; in a
 * session with earlier work, types and operator classes keep it, too, which
 * advice/trust.c checks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/rights.h"
#include "exec/trusted.h"

static needs_fmgr_hook_type previous_needs_hook;
static fmgr_hook_type previous_hook;
static planner_hook_type previous_planner;

/*
 * A function that was dropped has no owner.
 */
static void
look_up(Oid function, Oid *owner, Oid *language)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	*owner = InvalidOid;
	*language = InvalidOid;
	if (!HeapTupleIsValid(tuple))
		return;
	*owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	*language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
}

static bool
is_trusted(Oid owner)
{
	return OidIsValid(owner) && has_privs_of_role(owner, GetUserId());
}

/*
 * May a type or an operator class keep the lookup of this function?
 */
static bool
may_be_kept(Oid function)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	bool found = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(function));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL,
							  lengthof(keys), keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid kind = ((Form_pg_depend) GETSTRUCT(tuple))->classid;

		found = kind == TypeRelationId || kind == OperatorRelationId ||
				kind == AccessMethodProcedureRelationId;
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}

/*
 * Which functions are checked.  The answer may be kept for longer than the
 * current user stays the same, so it does not depend on the user, except for
 * functions in SQL, which only plans keep: the planner does not inline
 * functions that are checked, and would plan another query than the one that
 * is executed.  Functions that these call are checked by themselves.
 */
static bool
must_be_checked(Oid function)
{
	Oid owner;
	Oid language;

	if (previous_needs_hook != NULL && previous_needs_hook(function))
		return true;
	if (function < FirstNormalObjectId)
		return false;
	look_up(function, &owner, &language);
	if (OidIsValid(owner) && superuser_arg(owner))
		return false;
	return language != SQLlanguageId || !is_trusted(owner) ||
		   may_be_kept(function);
}

/*
 * A function with SECURITY DEFINER is called when its owner is the current
 * user already.
 */
static void
check_call(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	if (event == FHET_START && function->fn_oid >= FirstNormalObjectId)
	{
		Oid owner;
		Oid language;

		look_up(function->fn_oid, &owner, &language);
		if (!is_trusted(owner))
			ereport(
				ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s of role \"%s\" would be called with the "
						"rights of role \"%s\"",
						format_procedure_qualified(function->fn_oid),
						OidIsValid(owner) ? GetUserNameFromId(owner, true)
										  : "none",
						GetUserNameFromId(GetUserId(), false)),
				 errdetail(
					 "The owner of the function does not have the rights of role \"%s\".",
					 GetUserNameFromId(GetUserId(), false))));
	}
	if (previous_hook != NULL)
		previous_hook(event, function, private);
}

/*
 * The owner of a relation has written the views, policies and rules that the
 * rewriter takes into a query.
 */
static void
require_trusted_owner(Oid relation)
{
	Oid owner = owner_of_object(RELOID, relation, Anum_pg_class_relowner);

	if (!OidIsValid(owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("a relation of the query was dropped")));
	if (!is_trusted(owner))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg(
				 "planning the query could run code of role \"%s\" with the "
				 "rights of role \"%s\"",
				 GetUserNameFromId(owner, false),
				 GetUserNameFromId(GetUserId(), false))));
}

static bool
has_row_security(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool enabled = false;

	if (HeapTupleIsValid(tuple))
	{
		enabled = ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
		ReleaseSysCache(tuple);
	}
	return enabled;
}

/*
 * Refuse a rewritten query with a part that an untrusted role has written.  An
 * expanded view stays in the range table; queries that a rule added are
 * marked.
 */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): a query is a tree */
check_parts(Node *node, void *context)
{
	const Query *query = (Query *) node;
	ListCell *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, check_parts, context);
	foreach (cell, query->rtable)
	{
		Oid relation = lfirst_node(RangeTblEntry, cell)->relid;

		if (OidIsValid(relation) &&
			(query->querySource != QSRC_ORIGINAL ||
			 get_rel_relkind(relation) == RELKIND_VIEW ||
			 (query->hasRowSecurity && has_row_security(relation))))
			require_trusted_owner(relation);
	}
	return query_tree_walker((Query *) node, check_parts, context, 0);
}

/*
 * The hook sees the query itself, and those that functions plan meanwhile.
 */
static PlannedStmt *
plan_if_trusted(PLANNER_PARAMETERS)
{
	(void) check_parts((Node *) parse, NULL);
	if (previous_planner != NULL)
		return previous_planner(PLANNER_ARGUMENTS);
	return standard_planner(PLANNER_ARGUMENTS);
}

/*
 * Execute work under these checks.  A function that is called meanwhile may
 * get here, too, for another role; the checks are in force already.
 */
void
with_trusted_functions(void (*work)(void *argument), void *argument)
{
	bool in_force = fmgr_hook == check_call;

	if (!in_force)
	{
		previous_needs_hook = needs_fmgr_hook;
		previous_hook = fmgr_hook;
		previous_planner = planner_hook;
	}
	/* discard plans with functions that were inlined for another role */
	ResetPlanCache();
	PG_TRY();
	{
		needs_fmgr_hook = must_be_checked;
		fmgr_hook = check_call;
		planner_hook = plan_if_trusted;
		work(argument);
	}
	PG_FINALLY();
	{
		if (!in_force)
		{
			needs_fmgr_hook = previous_needs_hook;
			fmgr_hook = previous_hook;
			planner_hook = previous_planner;
		}
		/* discard plans with functions that were not inlined */
		ResetPlanCache();
	}
	PG_END_TRY();
}
