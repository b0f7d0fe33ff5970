/*-------------------------------------------------------------------------
 *
 * condition.h
 *	  Conditions of a query that an index could answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_CONDITION_H
#define PGMAINT_ADVICE_CONDITION_H

#include "advice/column.h"

typedef enum ConditionKind
{
	CONDITION_EQUAL, /* one value */
	CONDITION_ANY,	 /* one of several */
	CONDITION_RANGE,
	CONDITION_PREDICATE /* may be an index's predicate only */
} ConditionKind;

typedef struct Condition
{
	ConditionKind kind;
	IndexColumn *column; /* NULL: of a predicate */
	Node *clause;		 /* may be a predicate; NULL: has parameters */
	double selectivity;
	bool join;	  /* with a column of another table */
	bool unknown; /* how many rows it leaves: that hangs on a parameter */
} Condition;

/* NULL: none that a B-tree can answer */
extern Condition *match_comparison(QueriedTable *table, OpExpr *clause);
extern Condition *match_clause(QueriedTable *table, Node *clause);

/* of one arm of OR */
extern List *match_arm(QueriedTable *table, Node *arm);

#endif /* PGMAINT_ADVICE_CONDITION_H */
