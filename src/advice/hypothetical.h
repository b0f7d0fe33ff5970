/*-------------------------------------------------------------------------
 *
 * hypothetical.h
 *	  Hypothetical indexes for the planner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_HYPOTHETICAL_H
#define PGMAINT_ADVICE_HYPOTHETICAL_H

#include "base/compat.h"

extern void pretend_indexes(List *candidates, TableInfoHook next);
extern void add_pretended_indexes(TABLE_INFO_ARGS);

#endif /* PGMAINT_ADVICE_HYPOTHETICAL_H */
