/*-------------------------------------------------------------------------
 *
 * query_mark.c
 *	  The mark of queries that this room plans, among other queries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "advice/query_mark.h"

#define QUERY_FOR_ADVICE INT64CONST(0x70676d61696e7421)

/*
 * The number is free: our queries are planned past the hooks that count others
 * by it.
 */
void
mark_for_advice(Query *query)
{
	query->queryId = QUERY_FOR_ADVICE;
}

/*
 * Functions that are computed while we plan may have queries planned, too, and
 * then execute them: these must know nothing of indexes that do not exist.
 */
bool
is_planned_for_advice(PlannerInfo *root)
{
	while (root->parent_root != NULL)
		root = root->parent_root;
	return root->parse->queryId == QUERY_FOR_ADVICE;
}
