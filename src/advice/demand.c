/*-------------------------------------------------------------------------
 *
 * demand.c
 *	  The conditions and orders of a query that an index could serve.
 *
 * The planner has determined them before it considers indexes: the conditions
 * on each table, what must be equal across tables, and the order wanted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "advice/demand.h"
#include "advice/query_mark.h"
#include "base/compat.h"
#include "base/rights.h"

static List **collected;
static set_rel_pathlist_hook_type next_hook;

/*
 * From now on, demands are collected here.
 */
void
collect_demands(List **demands, set_rel_pathlist_hook_type next)
{
	collected = demands;
	next_hook = next;
}

static void
match_restrictions(QueriedTable *table, Demand *demand)
{
	ListCell *cell;

	foreach (cell, table->rel->baserestrictinfo)
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
				List *conditions = match_arm(table, lfirst(arm));

				if (conditions != NIL)
					demand->arms = lappend(demand->arms, conditions);
				else
					demand->unanswered = true;
			}
			continue;
		}
		condition = match_clause(table, (Node *) restriction->clause);
		if (condition == NULL)
		{
			demand->unanswered = true;
			continue;
		}
		demand->unknown = demand->unknown || condition->unknown;
		demand->conditions = lappend(demand->conditions, condition);
	}
}

/*
 * What must be equal to a column of another table.
 */
static void
add_join(Demand *demand, IndexColumn *column)
{
	Condition *condition;

	if (column == NULL)
		return;
	condition = palloc0(sizeof(Condition));
	condition->kind = CONDITION_EQUAL;
	condition->column = column;
	condition->join = true;
	condition->selectivity = 1 / Max(1, column->distinct);
	demand->conditions = lappend(demand->conditions, condition);
}

static void
match_joins(QueriedTable *table, Demand *demand)
{
	ListCell *cell;
	ListCell *inner;

	foreach (cell, table->root->eq_classes)
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
			column = as_column(table, (Node *) member->em_expr);
			if (column == NULL ||
				!list_member_oid(equal->ec_opfamilies, column->opfamily))
				continue;
			adopt_collation(column, equal->ec_collation);
			add_join(demand, column);
		}
	}
	foreach (cell, table->rel->joininfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Node *clause = (Node *) restriction->clause;
		Condition *condition;

		if (restriction->orclause != NULL || !IsA(clause, OpExpr))
			continue;
		condition = match_comparison(table, (OpExpr *) clause);
		if (condition != NULL && condition->kind == CONDITION_EQUAL)
			add_join(demand, condition->column);
	}
}

/*
 * The order that is wanted of the query, if this table alone gives it.
 */
static void
match_order(QueriedTable *table, Demand *demand)
{
	List *order = NIL;
	bool flip = false;
	ListCell *cell;
	ListCell *inner;

	foreach (cell, table->root->query_pathkeys)
	{
		PathKey *key = lfirst_node(PathKey, cell);
		IndexColumn *column = NULL;

		foreach (inner, key->pk_eclass->ec_members)
		{
			EquivalenceMember *member = lfirst(inner);

			if (column == NULL && !member->em_is_const && !member->em_is_child)
				column = as_column(table, (Node *) member->em_expr);
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
	demand->order = order;
	demand->limited = table->root->parse->limitCount != NULL;
}

/*
 * A column that a predicate speaks of, where there is no primary key.
 */
static IndexColumn *
find_column_of_predicate(QueriedTable *table)
{
	ListCell *cell;
	ListCell *inner;

	foreach (cell, table->rel->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);

		foreach (inner, pull_var_clause((Node *) restriction->clause,
										PVC_RECURSE_PLACEHOLDERS))
		{
			IndexColumn *column = as_column(table, lfirst(inner));

			if (column != NULL)
				return column;
		}
	}
	return NULL;
}

/*
 * The first column of the primary key, for indexes whose predicate says all.
 */
static IndexColumn *
find_key(QueriedTable *table)
{
	Relation relation = table_open(table->relation, NoLock);
	Bitmapset *columns =
		RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	int first = bms_next_member(columns, -1);
	IndexColumn *key = NULL;

	if (first >= 0)
	{
		AttrNumber attnum =
			(AttrNumber) (first + FirstLowInvalidHeapAttributeNumber);
		Form_pg_attribute column =
			TupleDescAttr(RelationGetDescr(relation), attnum - 1);

		key = as_column(table,
						(Node *) makeVar((int) table->number, attnum,
										 column->atttypid, column->atttypmod,
										 column->attcollation, 0));
	}
	table_close(relation, NoLock);
	return key != NULL ? key : find_column_of_predicate(table);
}

/*
 * Is it a table of a user, which can have indexes?
 */
static bool
is_of_interest(const RangeTblEntry *entry)
{
	Oid schema = get_rel_namespace(entry->relid);

	if (entry->relid < FirstNormalObjectId || schema == PG_CATALOG_NAMESPACE ||
		is_own_schema(schema))
		return false;
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
	QueriedTable table = {root, rel, number, entry->relid, false};
	Demand *demand;

	if (next_hook != NULL)
		next_hook(root, rel, number, entry);
	if (rel->reloptkind != RELOPT_BASEREL || entry->rtekind != RTE_RELATION ||
		!is_planned_for_advice(root) || !is_of_interest(entry))
		return;
	demand = palloc0(sizeof(Demand));
	demand->relation = entry->relid;
	demand->tuples = rel->tuples;
	demand->pages = rel->pages;
	demand->inherited = entry->inh && entry->relkind == RELKIND_RELATION;
	match_restrictions(&table, demand);
	match_joins(&table, demand);
	match_order(&table, demand);
	demand->key = find_key(&table);
	demand->no_statistics = table.no_statistics;
	*collected = lappend(*collected, demand);
}
