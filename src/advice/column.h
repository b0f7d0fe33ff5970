/*-------------------------------------------------------------------------
 *
 * column.h
 *	  Parts of a query that could be a column of an index.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_COLUMN_H
#define PGMAINT_ADVICE_COLUMN_H

#include "nodes/pathnodes.h"

#include "advice/candidate.h"

/* a table in the query that is being planned */
typedef struct QueriedTable
{
	PlannerInfo *root;
	RelOptInfo *rel;
	Index number; /* in the query */
	Oid relation;
	bool no_statistics; /* of some column that matters */
} QueriedTable;

/* NULL: it cannot be one of a B-tree */
extern IndexColumn *as_column(QueriedTable *table, Node *node);

/* an operator compares under its own, which need not be that of the column */
extern void adopt_collation(IndexColumn *column, Oid collation);

extern bool speaks_of_table_only(QueriedTable *table, Node *node);
extern bool speaks_of_table(QueriedTable *table, Node *node);
extern bool has_parameter(Node *node, void *context);
extern Node *in_index_terms(QueriedTable *table, Node *node);

#endif /* PGMAINT_ADVICE_COLUMN_H */
