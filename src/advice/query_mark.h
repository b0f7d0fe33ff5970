/*-------------------------------------------------------------------------
 *
 * query_mark.h
 *	  The mark of queries that this room plans, among other queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_QUERY_MARK_H
#define PGMAINT_ADVICE_QUERY_MARK_H

#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"

extern void mark_for_advice(Query *query);
extern bool is_planned_for_advice(PlannerInfo *root);

#endif /* PGMAINT_ADVICE_QUERY_MARK_H */
