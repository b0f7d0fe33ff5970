/*-------------------------------------------------------------------------
 *
 * demand.c
 *	  What a query asks of its tables that an index could answer.
 *
 * The planner has sorted that out before it looks at indexes: the conditions
 * on each table, what must be equal across tables, and the order wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"

#include "advice/demand.h"
#include "advice/planning.h"
#include "base/compat.h"

static List **collected;
static set_rel_pathlist_hook_type next_hook;

/* the table that is being looked at */
typedef struct Looking
{
	PlannerInfo *root;
	RelOptInfo *rel;
	Index number;
	Demand *demand;
} Looking;

/*
 * From now on, demands are collected here.
 */
void
collect_demands(List **demands, set_rel_pathlist_hook_type next)
{
	collected = demands;
	next_hook = next;
}

/*
 * With the table as number 1, as expressions of indexes have it.
 */
static Node *
in_index_terms(Looking *looking, Node *node)
{
	Node *copy = copyObject(node);

	if (looking->number != 1)
		ChangeVarNodes(copy, (int) looking->number, 1, 0);
	return copy;
}

/*
 * Does the node speak of this table, and of no other?
 */
static bool
speaks_of_table_only(Looking *looking, Node *node)
{
	int number;

	return bms_get_singleton_member(pull_varnos(looking->root, node),
									&number) &&
		   number == (int) looking->number;
}

static bool
/* NOLINTNEXTLINE(misc-no-recursion): an expression is a tree */
has_parameter(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return true;
	return expression_tree_walker(node, has_parameter, context);
}

static Node *
strip_relabeling(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * How many values there are; without statistics of a column, whatever the
 * planner thinks is worth nothing.  Those of an expression come with its
 * index.
 */
static double
count_distinct(Looking *looking, Node *node)
{
	VariableStatData statistics;
	bool is_default;
	double distinct;

	examine_variable(looking->root, node, 0, &statistics);
	distinct = get_variable_numdistinct(&statistics, &is_default);
	if (is_default && !IsA(node, Var))
		distinct = Max(1, looking->demand->tuples); /* there are none yet */
	else if (is_default && !statistics.isunique)
		looking->demand->no_statistics = true;
	ReleaseVariableStats(statistics);
	return distinct;
}

/*
 * What stands on one side of an operator as a column of a B-tree; NULL if it
 * cannot be one.
 */
static IndexColumn *
as_column(Looking *looking, Node *node)
{
	IndexColumn *column;
	Oid type;

	node = strip_relabeling(node);
	if (node == NULL || !speaks_of_table_only(looking, node))
		return NULL;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varattno <= 0 || ((Var *) node)->varlevelsup > 0)
			return NULL;
	}
	else if (contain_mutable_functions(node) || contain_subplans(node) ||
			 contain_agg_clause(node) || contain_window_function(node) ||
			 expression_returns_set(node) || has_parameter(node, NULL))
		return NULL;
	type = exprType(node);
	column = palloc0(sizeof(IndexColumn));
	column->opclass = GetDefaultOpClass(type, BTREE_AM_OID);
	if (!OidIsValid(column->opclass))
		return NULL;
	column->attnum = IsA(node, Var) ? ((Var *) node)->varattno : 0;
	column->expression = in_index_terms(looking, node);
	column->collation = exprCollation(node);
	column->opfamily = get_opclass_family(column->opclass);
	column->opcintype = get_opclass_input_type(column->opclass);
	column->distinct = count_distinct(looking, node);
	column->width =
		column->attnum == 0
			? get_typavgwidth(type, exprTypmod(node))
			: get_attavgwidth(looking->demand->relation, column->attnum);
	if (column->width <= 0)
		column->width = get_typavgwidth(type, exprTypmod(node));
	return column;
}

/*
 * A condition on a column.  What has no parameters may as well be the
 * predicate of a partial index.
 */
static Condition *
make_condition(Looking *looking, ConditionKind kind, IndexColumn *column,
			   Node *clause)
{
	Condition *condition = palloc0(sizeof(Condition));

	condition->kind = kind;
	condition->column = column;
	condition->selectivity =
		clause_selectivity(looking->root, clause, 0, JOIN_INNER, NULL);
	if (speaks_of_table_only(looking, clause) &&
		!has_parameter(clause, NULL) && !contain_mutable_functions(clause) &&
		!contain_subplans(clause))
		condition->clause = in_index_terms(looking, clause);
	return condition;
}

/*
 * An operator compares under its own collation, which need not be that of the
 * column.
 */
static void
adopt_collation(IndexColumn *column, Oid collation)
{
	if (OidIsValid(column->collation) && OidIsValid(collation) &&
		collation != column->collation)
	{
		column->collation = collation;
		column->own_collation = true;
	}
}

/*
 * LIKE with a pattern that is known, and whose beginning is: a range of texts,
 * if they are compared byte by byte.
 */
static Condition *
match_like(Looking *looking, OpExpr *clause)
{
	Node *pattern = lsecond(clause->args);
	IndexColumn *column;
	char *prefix;

	if (clause->opno != OID_TEXT_LIKE_OP || !IsA(pattern, Const) ||
		((Const *) pattern)->constisnull)
		return NULL;
	prefix = TextDatumGetCString(((Const *) pattern)->constvalue);
	if (prefix[0] == '\0' || strchr("%_\\", prefix[0]) != NULL)
		return NULL;
	column = as_column(looking, linitial(clause->args));
	if (column == NULL || column->opfamily != TEXT_BTREE_FAM_OID)
		return NULL;
	if (column->collation != C_COLLATION_OID)
	{
		column->opclass = TEXT_BTREE_PATTERN_OPS_OID;
		column->own_opclass = true;
		column->opfamily = TEXT_PATTERN_BTREE_FAM_OID;
		column->opcintype = TEXTOID;
	}
	return make_condition(looking, CONDITION_RANGE, column, (Node *) clause);
}

/*
 * A comparison of a column with what does not speak of its table.
 */
static Condition *
match_comparison(Looking *looking, OpExpr *clause)
{
	Node *left;
	Node *right;
	IndexColumn *column;
	Oid operator= clause->opno;
	int strategy;

	if (list_length(clause->args) != 2)
		return NULL;
	left = linitial(clause->args);
	right = lsecond(clause->args);
	if (!speaks_of_table_only(looking, left))
	{
		Node *other = left;

		left = right;
		right = other;
		operator= get_commutator(operator);
	}
	if (!OidIsValid(operator) ||
		bms_is_member((int) looking->number,
					  pull_varnos(looking->root, right)) ||
		contain_volatile_functions(right))
		return NULL;
	column = as_column(looking, left);
	if (column == NULL)
		return NULL;
	strategy = get_op_opfamily_strategy(operator, column->opfamily);
	if (strategy == 0)
		return operator== clause->opno ? match_like(looking, clause) : NULL;
	adopt_collation(column, clause->inputcollid);
	return make_condition(looking,
						  strategy == BTEqualStrategyNumber ? CONDITION_EQUAL
															: CONDITION_RANGE,
						  column, (Node *) clause);
}

/*
 * A column that is one of several values.
 */
static Condition *
match_any(Looking *looking, ScalarArrayOpExpr *clause)
{
	IndexColumn *column;

	if (!clause->useOr ||
		bms_is_member((int) looking->number,
					  pull_varnos(looking->root, lsecond(clause->args))) ||
		contain_volatile_functions(lsecond(clause->args)))
		return NULL;
	column = as_column(looking, linitial(clause->args));
	if (column == NULL ||
		get_op_opfamily_strategy(clause->opno, column->opfamily) !=
			BTEqualStrategyNumber)
		return NULL;
	adopt_collation(column, clause->inputcollid);
	return make_condition(looking, CONDITION_ANY, column, (Node *) clause);
}

/*
 * A condition in terms of an index; NULL if no B-tree can answer it.
 */
static Condition *
match_clause(Looking *looking, Node *clause)
{
	Condition *condition = NULL;

	if (IsA(clause, OpExpr))
		condition = match_comparison(looking, (OpExpr *) clause);
	else if (IsA(clause, ScalarArrayOpExpr))
		condition = match_any(looking, (ScalarArrayOpExpr *) clause);
	if (condition == NULL)
	{
		condition = make_condition(looking, CONDITION_PREDICATE, NULL, clause);
		if (condition->clause == NULL)
			return NULL;
	}
	return condition;
}

/*
 * The conditions in one arm of OR, which are in RestrictInfos or in AND.
 */
static List *
match_arm(Looking *looking, Node *arm)
{
	List *conditions = NIL;
	List *clauses =
		is_andclause(arm) ? ((BoolExpr *) arm)->args : list_make1(arm);
	ListCell *cell;

	foreach (cell, clauses)
	{
		Node *clause = lfirst(cell);
		Condition *condition;

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		condition = match_clause(looking, clause);
		if (condition != NULL && condition->column != NULL)
			conditions = lappend(conditions, condition);
	}
	return conditions;
}

static void
match_restrictions(Looking *looking)
{
	Demand *demand = looking->demand;
	ListCell *cell;

	foreach (cell, looking->rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Condition *condition;

		if (restriction->pseudoconstant)
			continue;
		if (restriction->orclause != NULL)
		{
			ListCell *arm;

			foreach (arm, ((BoolExpr *) restriction->orclause)->args)
			{
				List *conditions = match_arm(looking, lfirst(arm));

				if (conditions != NIL)
					demand->arms = lappend(demand->arms, conditions);
			}
			continue;
		}
		condition = match_clause(looking, (Node *) restriction->clause);
		if (condition != NULL)
			demand->conditions = lappend(demand->conditions, condition);
	}
}

/*
 * What must be equal to a column of another table.
 */
static void
add_join(Looking *looking, IndexColumn *column)
{
	Condition *condition;

	if (column == NULL)
		return;
	condition = palloc0(sizeof(Condition));
	condition->kind = CONDITION_EQUAL;
	condition->column = column;
	condition->join = true;
	condition->selectivity = 1 / Max(1, column->distinct);
	looking->demand->conditions =
		lappend(looking->demand->conditions, condition);
}

static void
match_joins(Looking *looking)
{
	ListCell *cell;
	ListCell *inner;

	foreach (cell, looking->root->eq_classes)
	{
		EquivalenceClass *equal = lfirst(cell);

		if (equal->ec_has_const || equal->ec_has_volatile ||
			equal->ec_merged != NULL ||
			bms_membership(equal->ec_relids) != BMS_MULTIPLE)
			continue;
		foreach (inner, equal->ec_members)
		{
			EquivalenceMember *member = lfirst(inner);
			IndexColumn *column;

			if (member->em_is_const || member->em_is_child)
				continue;
			column = as_column(looking, (Node *) member->em_expr);
			if (column == NULL ||
				!list_member_oid(equal->ec_opfamilies, column->opfamily))
				continue;
			adopt_collation(column, equal->ec_collation);
			add_join(looking, column);
		}
	}
	foreach (cell, looking->rel->joininfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Node *clause = (Node *) restriction->clause;
		Condition *condition;

		if (restriction->orclause != NULL || !IsA(clause, OpExpr))
			continue;
		condition = match_comparison(looking, (OpExpr *) clause);
		if (condition != NULL && condition->kind == CONDITION_EQUAL)
			add_join(looking, condition->column);
	}
}

/*
 * The order that is wanted of the query, if this table alone gives it.
 */
static void
match_order(Looking *looking)
{
	List *order = NIL;
	bool flip = false;
	ListCell *cell;
	ListCell *inner;

	foreach (cell, looking->root->query_pathkeys)
	{
		PathKey *key = lfirst_node(PathKey, cell);
		IndexColumn *column = NULL;

		foreach (inner, key->pk_eclass->ec_members)
		{
			EquivalenceMember *member = lfirst(inner);

			if (column == NULL && !member->em_is_const && !member->em_is_child)
				column = as_column(looking, (Node *) member->em_expr);
		}
		if (column == NULL || column->opfamily != key->pk_opfamily)
			return;
		adopt_collation(column, key->pk_eclass->ec_collation);
		column->descending = pathkey_is_descending(key);
		column->nulls_first = key->pk_nulls_first;
		/* an index can be read backwards */
		if (order == NIL)
			flip = column->descending;
		if (flip)
		{
			column->descending = !column->descending;
			column->nulls_first = !column->nulls_first;
		}
		order = lappend(order, column);
	}
	looking->demand->order = order;
	looking->demand->limited = looking->root->parse->limitCount != NULL;
}

/*
 * The first column of the primary key, for indexes whose predicate says all.
 */
static void
find_key(Looking *looking)
{
	Relation table = table_open(looking->demand->relation, NoLock);
	Bitmapset *columns =
		RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	int first = bms_next_member(columns, -1);

	if (first >= 0)
	{
		AttrNumber attnum =
			(AttrNumber) (first + FirstLowInvalidHeapAttributeNumber);
		Form_pg_attribute column =
			TupleDescAttr(RelationGetDescr(table), attnum - 1);

		looking->demand->key = as_column(
			looking,
			(Node *) makeVar((int) looking->number, attnum, column->atttypid,
							 column->atttypmod, column->attcollation, 0));
	}
	table_close(table, NoLock);
}

/*
 * Is it a table that people make indexes on?
 */
static bool
is_of_interest(const RangeTblEntry *entry)
{
	Oid schema = get_rel_namespace(entry->relid);

	if (entry->relid < FirstNormalObjectId || schema == PG_CATALOG_NAMESPACE ||
		schema == get_namespace_oid("pgmaint", true))
		return false;
	if (entry->inh && entry->relkind == RELKIND_RELATION)
		return false; /* an index would not cover the children */
	return entry->relkind == RELKIND_RELATION ||
		   entry->relkind == RELKIND_MATVIEW ||
		   entry->relkind == RELKIND_PARTITIONED_TABLE;
}

/*
 * The planner's hook for the ways to read a table.
 */
void
collect_demand(PlannerInfo *root, RelOptInfo *rel, Index number,
			   RangeTblEntry *entry)
{
	Looking looking = {root, rel, number, NULL};

	if (next_hook != NULL)
		next_hook(root, rel, number, entry);
	if (rel->reloptkind != RELOPT_BASEREL || entry->rtekind != RTE_RELATION ||
		!is_planned_for_advice(root) || !is_of_interest(entry))
		return;
	looking.demand = palloc0(sizeof(Demand));
	looking.demand->relation = entry->relid;
	looking.demand->tuples = rel->tuples;
	looking.demand->pages = rel->pages;
	match_restrictions(&looking);
	match_joins(&looking);
	match_order(&looking);
	find_key(&looking);
	*collected = lappend(*collected, looking.demand);
}
