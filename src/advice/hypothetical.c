/*-------------------------------------------------------------------------
 *
 * hypothetical.c
 *	  Hypothetical indexes for the planner.
 *
 * The server lets extensions add to what the planner knows of a table, for
 * this purpose: an index that is marked as hypothetical is never opened.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/amapi.h"
#include "access/attmap.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"

#include "advice/candidate.h"
#include "advice/hypothetical.h"
#include "advice/query_mark.h"
#include "base/compat.h"

/* entries of an inner page, about: what makes a tree as high as it is */
#define FANOUT 250.0

static List *pretended;
static TableInfoHook next_hook;

/*
 * Set the hypothetical indexes of the next plans.
 */
void
pretend_indexes(List *candidates, TableInfoHook next)
{
	pretended = candidates;
	next_hook = next;
}

/*
 * Convert an expression that refers to the candidate's table as number 1 to
 * one of a relation of a query, which may be a partition.
 */
static Node *
for_relation(Node *expression, const Candidate *candidate, Oid relation,
			 Index number)
{
	Node *translated = copyObject(expression);

	if (relation != candidate->relation)
	{
		Relation child = table_open(relation, NoLock);
		Relation parent = table_open(candidate->relation, NoLock);
		AttrMap *map = map_columns_by_name(RelationGetDescr(child),
										   RelationGetDescr(parent));
		bool whole_row;

		translated =
			map_variable_attnos(translated, 1, 0, map, InvalidOid, &whole_row);
		table_close(parent, NoLock);
		table_close(child, NoLock);
	}
	if (number != 1)
		ChangeVarNodes(translated, 1, (int) number, 0);
	return translated;
}

/*
 * The columns, as the planner describes those of B-trees.
 */
static void
describe_to_planner(IndexOptInfo *index, const Candidate *candidate,
					Oid relation)
{
	int count = list_length(candidate->columns);
	int nth = 0;
	ListCell *cell;

	index->ncolumns = count;
	index->nkeycolumns = count;
	index->indexkeys = palloc0(sizeof(int) * count);
	index->indexcollations = palloc0(sizeof(Oid) * count);
	index->opfamily = palloc0(sizeof(Oid) * count);
	index->opcintype = palloc0(sizeof(Oid) * count);
	index->sortopfamily = index->opfamily;
	index->reverse_sort = palloc0(sizeof(bool) * count);
	index->nulls_first = palloc0(sizeof(bool) * count);
	index->opclassoptions = palloc0(sizeof(bytea *) * count);
	index->canreturn = palloc0(sizeof(bool) * count);
	foreach (cell, candidate->columns)
	{
		const IndexColumn *column = lfirst(cell);
		Node *expression = for_relation(column->expression, candidate,
										relation, index->rel->relid);

		if (column->attnum != 0)
			index->indexkeys[nth] = ((Var *) expression)->varattno;
		else
			index->indexprs = lappend(index->indexprs, expression);
		index->indextlist =
			lappend(index->indextlist,
					makeTargetEntry((Expr *) expression,
									(AttrNumber) (nth + 1), NULL, false));
		index->indexcollations[nth] = column->collation;
		index->opfamily[nth] = column->opfamily;
		index->opcintype[nth] = column->opcintype;
		index->reverse_sort[nth] = column->descending;
		index->nulls_first[nth] = column->nulls_first;
		index->canreturn[nth] = true;
		nth++;
	}
	index->indpred = (List *) for_relation(
		(Node *) candidate->predicate, candidate, relation, index->rel->relid);
}

static IndexOptInfo *
make_index(Candidate *candidate, Oid relation, RelOptInfo *rel)
{
	IndexOptInfo *index = makeNode(IndexOptInfo);
	const IndexAmRoutine *btree = GetIndexAmRoutineByAmId(BTREE_AM_OID, false);

	index->indexoid = candidate->number;
	index->reltablespace = rel->reltablespace;
	index->rel = rel;
	index->tuples = Max(1, rel->tuples * candidate->fraction);
	candidate->bytes = estimate_index_bytes(candidate, rel->tuples);
	index->pages = (BlockNumber) (candidate->bytes / BLCKSZ);
	index->tree_height =
		index->pages <= 2 ? 0 : (int) ceil(log(index->pages) / log(FANOUT));
	describe_to_planner(index, candidate, relation);
	index->relam = BTREE_AM_OID;
	index->immediate = true;
	index->hypothetical = true;
	index->amcanorderbyop = btree->amcanorderbyop;
	index->amoptionalkey = btree->amoptionalkey;
	index->amsearcharray = btree->amsearcharray;
	index->amsearchnulls = btree->amsearchnulls;
	index->amcanparallel = btree->amcanparallel;
	index->amhasgettuple = true;
	index->amhasgetbitmap = true;
	index->amcanmarkpos = true;
	index->amcostestimate = btree->amcostestimate;
	return index;
}

/*
 * The planner's hook for the properties of a table.
 */
void
add_pretended_indexes(TABLE_INFO_ARGS)
{
	Oid relation = TABLE_INFO_RELATION;
	ListCell *cell;

	if (next_hook != NULL)
		next_hook(TABLE_INFO_VALUES);
	if (TABLE_INFO_IS_PARENT || !is_planned_for_advice(root))
		return;
	foreach (cell, pretended)
	{
		Candidate *candidate = lfirst(cell);

		if (candidate->relation != relation &&
			!(rel->reloptkind == RELOPT_OTHER_MEMBER_REL &&
			  list_member_oid(get_partition_ancestors(relation),
							  candidate->relation)))
			continue;
		rel->indexlist =
			lcons(make_index(candidate, relation, rel), rel->indexlist);
	}
}
