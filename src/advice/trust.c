/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  The roles whose code the planning of a query may run, and the role to
 *	  plan as.
 *
 * The planner computes what is constant, and asks operators about the values
 * in statistics: it runs functions of the query, of the indexes, constraints
 * and policies of its tables, and of its types.  So a query is planned with
 * the rights of a role whose rights all owners of these objects have anyway.
 *
 * The functions that these functions call are not known beforehand: each call is
 * checked when it comes (exec/trusted.c).  That check does not see the functions
 * that the server keeps with types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "advice/trust.h"
#include "base/compat.h"
#include "base/rights.h"

/* how deep the structure of types is followed */
#define MAX_TYPE_DEPTH 8

typedef struct Owners
{
	List *code;	  /* roles that own something that planning may run */
	List *tables; /* roles that own tables */
} Owners;

static void add_type(Owners *owners, Oid type, int depth);

static Oid
owner_of(int cache, Oid object, AttrNumber column)
{
	Oid owner = owner_of_object(cache, object, column);

	if (!OidIsValid(owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("an object of the statement was dropped")));
	return owner;
}

/*
 * Objects of the server itself belong to its first superuser.
 */
static void
add_object(Owners *owners, int cache, Oid object, AttrNumber column)
{
	if (object >= FirstNormalObjectId)
		owners->code = list_append_unique_oid(owners->code,
											  owner_of(cache, object, column));
}

static void
add_operator(Owners *owners, Oid operator)
{
	if (operator<FirstNormalObjectId)
		return;
	/* its negator and commutator are the choice of its owner */
	add_object(owners, OPEROID, operator, Anum_pg_operator_oprowner);
	add_object(owners, PROCOID, get_opcode(operator), Anum_pg_proc_proowner);
}

static bool
add_function(Oid function, void *context)
{
	add_object(context, PROCOID, function, Anum_pg_proc_proowner);
	return false;
}

/*
 * The functions that the server keeps with a type: its owner has to be allowed
 * to execute them, and need not own them.
 */
static void
add_kept_functions(Owners *owners, Oid type)
{
	TypeCacheEntry *kept = lookup_type_cache(
		type, TYPECACHE_EQ_OPR | TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC |
				  TYPECACHE_HASH_EXTENDED_PROC);
	HeapTuple tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));

	if (OidIsValid(kept->eq_opr))
		(void) add_function(get_opcode(kept->eq_opr), owners);
	(void) add_function(kept->cmp_proc, owners);
	(void) add_function(kept->hash_proc, owners);
	(void) add_function(kept->hash_extended_proc, owners);
	if (!HeapTupleIsValid(tuple))
		return;
	(void) add_function(((Form_pg_range) GETSTRUCT(tuple))->rngcanonical,
						owners);
	(void) add_function(((Form_pg_range) GETSTRUCT(tuple))->rngsubdiff,
						owners);
	ReleaseSysCache(tuple);
}

/*
 * The columns of a row type.
 */
static void
/* NOLINTNEXTLINE(misc-no-recursion): types are made of types */
add_columns(Owners *owners, Oid relation, int depth)
{
	TupleDesc row = lookup_rowtype_tupdesc(get_rel_type_id(relation), -1);

	for (int column = 0; column < row->natts; column++)
	{
		if (!TupleDescAttr(row, column)->attisdropped)
			add_type(owners, TupleDescAttr(row, column)->atttypid, depth);
	}
	ReleaseTupleDesc(row);
}

/*
 * A domain has checks, a range may have a function of distance.
 */
static void
/* NOLINTNEXTLINE(misc-no-recursion): types are made of types */
add_type(Owners *owners, Oid type, int depth)
{
	Oid inside;

	if (type < FirstNormalObjectId)
		return;
	if (depth > MAX_TYPE_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a type in the statement is too deeply nested")));
	add_object(owners, TYPEOID, type, Anum_pg_type_typowner);
	add_kept_functions(owners, type);
	inside = get_element_type(type);
	if (OidIsValid(inside))
		add_type(owners, inside, depth + 1);
	inside = getBaseType(type);
	if (inside != type)
		add_type(owners, inside, depth + 1);
	inside = get_range_subtype(type);
	if (OidIsValid(inside))
		add_type(owners, inside, depth + 1);
	inside = get_multirange_range(type);
	if (OidIsValid(inside))
		add_type(owners, inside, depth + 1);
	inside = get_typ_typrelid(type);
	if (OidIsValid(inside))
		add_columns(owners, inside, depth + 1);
}

/*
 * The owner of a table chooses its indexes, constraints and policies.
 */
static void
add_relation(Owners *owners, Oid relation, bool with_children)
{
	ListCell *cell;
	List *family = list_make1_oid(relation);

	/* the query contains the view's definition, which its owner wrote */
	if (get_rel_relkind(relation) == RELKIND_VIEW)
	{
		add_object(owners, RELOID, relation, Anum_pg_class_relowner);
		return;
	}
	if (with_children)
		family = find_all_inheritors(relation, AccessShareLock, NULL);
	foreach (cell, family)
	{
		Oid owner = owner_of(RELOID, lfirst_oid(cell), Anum_pg_class_relowner);

		if (get_rel_persistence(lfirst_oid(cell)) == RELPERSISTENCE_TEMP)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the statement reads a temporary table")));
		owners->code = list_append_unique_oid(owners->code, owner);
		owners->tables = list_append_unique_oid(owners->tables, owner);
	}
}

static void
add_operators_of(Owners *owners, Node *node)
{
	ListCell *cell;

	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			add_operator(owners, ((OpExpr *) node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			add_operator(owners, ((ScalarArrayOpExpr *) node)->opno);
			break;
		case T_RowCompareExpr:
			foreach (cell, ((RowCompareExpr *) node)->opnos)
				add_operator(owners, lfirst_oid(cell));
			break;
		default:
			break;
	}
}

static void
add_type_of(Owners *owners, Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_Aggref:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CoerceToDomain:
		case T_CoerceToDomainValue:
		case T_RowExpr:
		case T_ArrayExpr:
		case T_FieldSelect:
		case T_SubscriptingRef:
			add_type(owners, exprType(node), 0);
			break;
		default:
			break;
	}
}

static bool
/* NOLINTNEXTLINE(misc-no-recursion): a query is a tree */
add_owners(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, add_owners, context,
								 QTW_EXAMINE_RTES_BEFORE);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		/* from 16 on, an expanded view is a subquery that has its OID */
		if (OidIsValid(entry->relid))
			add_relation(context, entry->relid, entry->inh);
		return false; /* query_tree_walker looks into it */
	}
	(void) check_functions_in_node(node, add_function, context);
	add_operators_of(context, node);
	add_type_of(context, node);
	return expression_tree_walker(node, add_owners, context);
}

/*
 * Do all roles in the list have the rights of the role?
 */
static bool
all_have_rights_of(List *roles, Oid role, Oid *other)
{
	ListCell *cell;

	foreach (cell, roles)
	{
		if (!has_privs_of_role(lfirst_oid(cell), role))
		{
			*other = lfirst_oid(cell);
			return false;
		}
	}
	return true;
}

/*
 * The role to plan a rewritten query as: the one that executed it, or an owner
 * of its tables; the caller must have the rights of that role, too.
 */
Oid
role_to_plan_as(Query *query, Oid role, Oid caller)
{
	Owners owners = {NIL, NIL};
	Oid other = InvalidOid;
	Oid first_other;
	ListCell *cell;

	(void) add_owners((Node *) query, &owners);
	if (all_have_rights_of(owners.code, role, &other))
		return role;
	first_other = other;
	foreach (cell, owners.tables)
	{
		Oid owner = lfirst_oid(cell);

		if (has_privs_of_role(caller, owner) &&
			all_have_rights_of(owners.code, owner, &other))
			return owner;
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg(
			 "planning the query could run code of role \"%s\" with the rights "
			 "of role \"%s\"",
			 GetUserNameFromId(first_other, false),
			 GetUserNameFromId(role, false))));
	return InvalidOid;
}
