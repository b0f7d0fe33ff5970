/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Plans: their steps, and the options that a run adds to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PLAN_H
#define PGMAINT_PLAN_H

#include "action/action.h"

typedef struct Step
{
	const Action *action;
	Jsonb *options; /* NULL for none */
} Step;

extern List *parse_steps(const char *plan, Jsonb *steps);
extern List *steps_of_plan(const char *plan, Jsonb *options);
extern List *step_of_action(const char *action, Jsonb *options);
extern void check_steps(List *steps);
extern Jsonb *steps_to_jsonb(List *steps);
extern void survey_step(PlanContext *context, const Step *step);
extern void plan_step(PlanContext *context, const Step *step);

#endif /* PGMAINT_PLAN_H */
