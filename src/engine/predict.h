/*-------------------------------------------------------------------------
 *
 * predict.h
 *	  How long tasks will take, and in which order they are done.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PREDICT_H
#define PGMAINT_PREDICT_H

#include "engine/plan.h"

extern void predict_and_order(PlanContext *context, const Step *step);

#endif /* PGMAINT_PREDICT_H */
