/*-------------------------------------------------------------------------
 *
 * hypothetical.h
 *	  Telling the planner of indexes that could be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_HYPOTHETICAL_H
#define PGMAINT_ADVICE_HYPOTHETICAL_H

#include "optimizer/plancat.h"

extern void pretend_indexes(List *candidates,
							get_relation_info_hook_type next);
extern void add_pretended_indexes(PlannerInfo *root, Oid relation,
								  bool inhparent, RelOptInfo *rel);

#endif /* PGMAINT_ADVICE_HYPOTHETICAL_H */
