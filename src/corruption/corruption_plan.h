/*-------------------------------------------------------------------------
 *
 * corruption_plan.h
 *	  Which tables and indexes a step of "check_corruption" checks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CORRUPTION_PLAN_H
#define PGMAINT_CORRUPTION_PLAN_H

#include "action/action.h"
#include "corruption/amcheck.h"

/* the options of the step, evaluated */
typedef struct CheckPlan
{
	const Amcheck *amcheck;
	bool parents;	  /* check B-trees from top to bottom */
	bool gently_also; /* ... but not where that takes too long */
	bool any_time;	  /* ... whether a window is open or not */
	double budget;	  /* seconds; 0: no limit */
} CheckPlan;

/* relations by how they would be checked, if they can be */
typedef struct Checkable
{
	int64 by_kind[AMCHECK_KINDS];
	int64 without_check; /* of access methods that amcheck does not support */
} Checkable;

/* inside a ledger scope */
extern void count_checkable(PlanContext *context, const CheckPlan *plan,
							Checkable *checkable);
extern int64 plan_checks(PlanContext *context, const CheckPlan *plan);

#endif /* PGMAINT_CORRUPTION_PLAN_H */
