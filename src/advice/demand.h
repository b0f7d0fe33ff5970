/*-------------------------------------------------------------------------
 *
 * demand.h
 *	  The conditions and orders of a query that an index could serve.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_DEMAND_H
#define PGMAINT_ADVICE_DEMAND_H

#include "optimizer/paths.h"

#include "advice/condition.h"

/* conditions on one table of a query */
typedef struct Demand
{
	Oid relation;
	double tuples;
	double pages;
	List *conditions; /* of Condition: all have to hold */
	List *arms;		  /* of lists of Condition, from OR */
	List *order;	  /* of IndexColumn */
	IndexColumn *key; /* the first of the primary key, or NULL */
	bool limited;	  /* only the first rows in that order are wanted */
	bool no_statistics;
	bool inherited;	 /* by tables that an index would not cover */
	bool unanswered; /* a condition that no B-tree answers */
	bool unknown;	 /* how many rows are left: that hangs on parameters */
} Demand;

extern void collect_demands(List **demands, set_rel_pathlist_hook_type next);
extern void collect_demand(PlannerInfo *root, RelOptInfo *rel, Index number,
						   RangeTblEntry *entry);

#endif /* PGMAINT_ADVICE_DEMAND_H */
