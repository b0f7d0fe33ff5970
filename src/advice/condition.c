/*-------------------------------------------------------------------------
 *
 * condition.c
 *	  Conditions of a query that an index could answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "advice/condition.h"
#include "base/compat.h"

/*
 * A condition on a column.  What has no parameters may as well be the
 * predicate of a partial index.
 */
static Condition *
make_condition(QueriedTable *table, ConditionKind kind, IndexColumn *column,
			   Node *clause)
{
	Condition *condition = palloc0(sizeof(Condition));

	condition->kind = kind;
	condition->column = column;
	condition->selectivity =
		clause_selectivity(table->root, clause, 0, JOIN_INNER, NULL);
	if (speaks_of_table_only(table, clause) && !has_parameter(clause, NULL) &&
		!contain_mutable_functions(clause) && !contain_subplans(clause))
		condition->clause = in_index_terms(table, clause);
	return condition;
}

/*
 * LIKE with a pattern that is known, and whose beginning is: a range of texts,
 * if they are compared byte by byte.
 */
static Condition *
match_like(QueriedTable *table, OpExpr *clause)
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
	column = as_column(table, linitial(clause->args));
	if (column == NULL || column->opfamily != TEXT_BTREE_FAM_OID)
		return NULL;
	if (column->collation != C_COLLATION_OID)
	{
		column->opclass = TEXT_BTREE_PATTERN_OPS_OID;
		column->own_opclass = true;
		column->opfamily = TEXT_PATTERN_BTREE_FAM_OID;
		column->opcintype = TEXTOID;
	}
	return make_condition(table, CONDITION_RANGE, column, (Node *) clause);
}

/*
 * A comparison of a column with an expression that does not refer to its
 * table.
 */
Condition *
match_comparison(QueriedTable *table, OpExpr *clause)
{
	Node *left;
	Node *right;
	IndexColumn *column;
	Condition *condition;
	Oid operator= clause->opno;
	int strategy;

	if (list_length(clause->args) != 2)
		return NULL;
	left = linitial(clause->args);
	right = lsecond(clause->args);
	if (!speaks_of_table_only(table, left))
	{
		Node *other = left;

		left = right;
		right = other;
		operator= get_commutator(operator);
	}
	if (!OidIsValid(operator) || speaks_of_table(table, right) ||
		contain_volatile_functions(right))
		return NULL;
	column = as_column(table, left);
	if (column == NULL)
		return NULL;
	strategy = get_op_opfamily_strategy(operator, column->opfamily);
	if (strategy == 0)
		return operator== clause->opno ? match_like(table, clause) : NULL;
	adopt_collation(column, clause->inputcollid);
	condition = make_condition(
		table,
		strategy == BTEqualStrategyNumber ? CONDITION_EQUAL : CONDITION_RANGE,
		column, (Node *) clause);
	/* the planner takes the average of all values, or a third of the rows */
	condition->unknown =
		has_parameter(right, NULL) &&
		(condition->kind == CONDITION_RANGE || exprType(left) == BOOLOID);
	return condition;
}

/*
 * A column that is one of several values.
 */
static Condition *
match_any(QueriedTable *table, ScalarArrayOpExpr *clause)
{
	IndexColumn *column;

	if (!clause->useOr || speaks_of_table(table, lsecond(clause->args)) ||
		contain_volatile_functions(lsecond(clause->args)))
		return NULL;
	column = as_column(table, linitial(clause->args));
	if (column == NULL ||
		get_op_opfamily_strategy(clause->opno, column->opfamily) !=
			BTEqualStrategyNumber)
		return NULL;
	adopt_collation(column, clause->inputcollid);
	return make_condition(table, CONDITION_ANY, column, (Node *) clause);
}

/*
 * A condition in terms of an index; NULL if no B-tree can answer it.
 */
Condition *
match_clause(QueriedTable *table, Node *clause)
{
	Condition *condition = NULL;

	if (IsA(clause, OpExpr))
		condition = match_comparison(table, (OpExpr *) clause);
	else if (IsA(clause, ScalarArrayOpExpr))
		condition = match_any(table, (ScalarArrayOpExpr *) clause);
	if (condition == NULL)
	{
		condition = make_condition(table, CONDITION_PREDICATE, NULL, clause);
		if (condition->clause == NULL)
			return NULL;
	}
	return condition;
}

/*
 * The conditions in one arm of OR, which are in RestrictInfos or in AND.
 */
List *
match_arm(QueriedTable *table, Node *arm)
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
		condition = match_clause(table, clause);
		if (condition != NULL && condition->column != NULL)
			conditions = lappend(conditions, condition);
	}
	return conditions;
}
