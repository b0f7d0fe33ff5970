/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  The tables that a plan reads, and the indexes that it uses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"

#include "advice/reading.h"

/* an index that finds more of its table does not narrow anything */
#define MAX_SHARE_FOUND 0.25

/* walking over a plan */
typedef struct Walk
{
	PlannedStmt *statement;
	PlanReadings *result;
} Walk;

/* what is above a node */
typedef struct Above
{
	bool sorted;  /* its rows are sorted or grouped */
	bool limited; /* only the first of them are wanted */
} Above;

static void walk(const Walk *walking, Plan *plan, Above above);

/*
 * Rows of a table as they were counted last.
 */
static double
rows_in(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double rows = 0;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	return Max(rows, 0);
}

static void
add_reading(const Walk *walking, const Scan *scan, bool whole)
{
	RangeTblEntry *entry =
		rt_fetch(scan->scanrelid, walking->statement->rtable);
	Reading *reading;

	if (entry->rtekind != RTE_RELATION)
		return;
	reading = palloc0(sizeof(Reading));
	reading->relation = entry->relid;
	reading->whole = whole;
	reading->rows = scan->plan.plan_rows;
	walking->result->readings = lappend(walking->result->readings, reading);
}

/*
 * An index that finds a large part of its table is read because it is smaller
 * than the table, not for its order: it does not count.
 */
static void
add_index(const Walk *walking, const Scan *scan, Oid index, Above above)
{
	RangeTblEntry *entry =
		rt_fetch(scan->scanrelid, walking->statement->rtable);

	if (!above.limited &&
		scan->plan.plan_rows > MAX_SHARE_FOUND * rows_in(entry->relid))
		return;
	walking->result->indexes =
		list_append_unique_oid(walking->result->indexes, index);
}

static void
/* NOLINTNEXTLINE(misc-no-recursion): a plan is a tree */
walk_all(const Walk *walking, List *plans, Above above)
{
	ListCell *cell;

	foreach (cell, plans)
		walk(walking, lfirst(cell), above);
}

/*
 * One node and what is below it.
 */
static void
/* NOLINTNEXTLINE(misc-no-recursion): a plan is a tree */
walk(const Walk *walking, Plan *plan, Above above)
{
	check_stack_depth();
	if (plan == NULL)
		return;
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
			add_reading(walking, (Scan *) plan, true);
			break;
		case T_IndexScan:
			/* rows that the index found, and a filter throws away */
			if (plan->qual != NIL || above.sorted)
				add_reading(walking, (Scan *) plan, false);
			add_index(walking, (Scan *) plan, ((IndexScan *) plan)->indexid,
					  above);
			break;
		case T_IndexOnlyScan:
			if (plan->qual != NIL || above.sorted)
				add_reading(walking, (Scan *) plan, false);
			add_index(walking, (Scan *) plan,
					  ((IndexOnlyScan *) plan)->indexid, above);
			break;
		case T_BitmapIndexScan:
			add_index(walking, (Scan *) plan,
					  ((BitmapIndexScan *) plan)->indexid, above);
			break;
		case T_BitmapHeapScan:
			add_reading(walking, (Scan *) plan, false);
			break;
		case T_BitmapAnd:
			walk_all(walking, ((BitmapAnd *) plan)->bitmapplans, above);
			break;
		case T_BitmapOr:
			walk_all(walking, ((BitmapOr *) plan)->bitmapplans, above);
			break;
		case T_Append:
			walk_all(walking, ((Append *) plan)->appendplans, above);
			break;
		case T_MergeAppend:
			walk_all(walking, ((MergeAppend *) plan)->mergeplans, above);
			break;
		case T_SubqueryScan:
			walk(walking, ((SubqueryScan *) plan)->subplan, above);
			break;
		case T_CustomScan:
			walk_all(walking, ((CustomScan *) plan)->custom_plans, above);
			break;
		case T_Sort:
		case T_IncrementalSort:
		case T_Agg:
		case T_Group:
		case T_Unique:
			above.sorted = true;
			above.limited = false;
			break;
		case T_Limit:
			above.limited = true;
			break;
		case T_MergeJoin:
			/* ends with the shorter of the two */
			above.limited = MAX_SHARE_FOUND * plan->righttree->plan_rows >
							plan->lefttree->plan_rows;
			break;
		case T_Hash:
		case T_Material:
			above.limited = false;
			break;
		default:
			break;
	}
	walk(walking, plan->lefttree, above);
	walk(walking, plan->righttree, above);
}

void
read_plan(PlannedStmt *plan, PlanReadings *result)
{
	Walk walking = {plan, result};
	Above nothing = {false, false};
	ListCell *cell;

	walk(&walking, plan->planTree, nothing);
	foreach (cell, plan->subplans)
		walk(&walking, lfirst(cell), nothing);
}
