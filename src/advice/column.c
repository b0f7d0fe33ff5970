/*-------------------------------------------------------------------------
 *
 * column.c
 *	  Parts of a query that could be a column of an index.
 *
 * That is a column of a table, or an expression of columns of one table only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "advice/column.h"
#include "base/compat.h"

/*
 * With the table as number 1, as expressions of indexes have it.
 */
Node *
in_index_terms(QueriedTable *table, Node *node)
{
	Node *copy = copyObject(node);

	if (table->number != 1)
		ChangeVarNodes(copy, (int) table->number, 1, 0);
	return copy;
}

/*
 * Does the node refer to this table, and to no other?
 */
bool
speaks_of_table_only(QueriedTable *table, Node *node)
{
	int number;

	return bms_get_singleton_member(pull_varnos(table->root, node), &number) &&
		   number == (int) table->number;
}

/*
 * Does the node refer to this table?
 */
bool
speaks_of_table(QueriedTable *table, Node *node)
{
	return bms_is_member((int) table->number, pull_varnos(table->root, node));
}

bool
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
 * The number of distinct values.  Without statistics of a column, the
 * planner's estimate is useless.  An expression has statistics once its index
 * exists.
 */
static double
count_distinct(QueriedTable *table, Node *node)
{
	VariableStatData statistics;
	bool is_default;
	double distinct;

	examine_variable(table->root, node, 0, &statistics);
	distinct = get_variable_numdistinct(&statistics, &is_default);
	if (is_default && !IsA(node, Var))
		distinct = Max(1, table->rel->tuples); /* there are none yet */
	else if (is_default && !statistics.isunique)
		table->no_statistics = true;
	ReleaseVariableStats(statistics);
	return distinct;
}

/*
 * One side of an operator as a column of a B-tree; NULL if it cannot be one.
 */
IndexColumn *
as_column(QueriedTable *table, Node *node)
{
	IndexColumn *column;
	Oid type;

	node = strip_relabeling(node);
	if (node == NULL || !speaks_of_table_only(table, node))
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
	column->expression = in_index_terms(table, node);
	column->collation = exprCollation(node);
	column->opfamily = get_opclass_family(column->opclass);
	column->opcintype = get_opclass_input_type(column->opclass);
	column->distinct = count_distinct(table, node);
	column->width = column->attnum == 0
						? get_typavgwidth(type, exprTypmod(node))
						: get_attavgwidth(table->relation, column->attnum);
	if (column->width <= 0)
		column->width = get_typavgwidth(type, exprTypmod(node));
	return column;
}

void
adopt_collation(IndexColumn *column, Oid collation)
{
	if (OidIsValid(column->collation) && OidIsValid(collation) &&
		collation != column->collation)
	{
		column->collation = collation;
		column->own_collation = true;
	}
}
