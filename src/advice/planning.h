/*-------------------------------------------------------------------------
 *
 * planning.h
 *	  Planning of counted statements with hypothetical indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_PLANNING_H
#define PGMAINT_ADVICE_PLANNING_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "advice/candidate.h"
#include "advice/statement.h"

typedef void (*QueryWork)(Query *query, void *argument);

/* returns why not, or NULL */
extern char *with_query(const Statement *statement, QueryWork work,
						void *argument);
extern PlannedStmt *plan_with_indexes(Query *query, List *candidates,
									  List **demands);

#endif /* PGMAINT_ADVICE_PLANNING_H */
