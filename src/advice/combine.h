/*-------------------------------------------------------------------------
 *
 * combine.h
 *	  The indexes that could serve what a query asks of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_COMBINE_H
#define PGMAINT_ADVICE_COMBINE_H

#include "advice/demand.h"

extern List *indexes_for(const Demand *demand);

#endif /* PGMAINT_ADVICE_COMBINE_H */
