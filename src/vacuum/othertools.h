/*-------------------------------------------------------------------------
 *
 * othertools.h
 *	  Other extensions that rewrite tables, and how they are called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OTHERTOOLS_H
#define PGMAINT_OTHERTOOLS_H

#include "action/action.h"

extern void recommend_tools(PlanContext *context, List *targets);

#endif /* PGMAINT_OTHERTOOLS_H */
