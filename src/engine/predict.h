/*-------------------------------------------------------------------------
 *
 * predict.h
 *	  The predicted durations of tasks, and their order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PREDICT_H
#define PGMAINT_PREDICT_H

#include "engine/plan.h"

extern void predict_and_order(PlanContext *context, const Step *step);

#endif /* PGMAINT_PREDICT_H */
