/*-------------------------------------------------------------------------
 *
 * advise.h
 *	  Which indexes the counted statements would gain from.
 *
 * The room advice: the search for indexes that counted statements would
 * gain from, by planning these with indexes that could be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_ADVISE_H
#define PGMAINT_ADVICE_ADVISE_H

#include "advice/advice.h"

extern void find_advice(const AdviceLimits *limits, AdviceResult *result);

#endif /* PGMAINT_ADVICE_ADVISE_H */
