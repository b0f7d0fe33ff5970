/*-------------------------------------------------------------------------
 *
 * combine.h
 *	  The indexes that could serve the conditions and the order of a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_COMBINE_H
#define PGMAINT_ADVICE_COMBINE_H

#include "advice/demand.h"

extern List *indexes_for(const Demand *demand);

#endif /* PGMAINT_ADVICE_COMBINE_H */
