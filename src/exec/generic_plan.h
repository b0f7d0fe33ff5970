/*-------------------------------------------------------------------------
 *
 * generic_plan.h
 *	  The plan of a statement whose parameters have no values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_GENERIC_PLAN_H
#define PGMAINT_GENERIC_PLAN_H

extern char *generic_plan_of(char *query);

#endif /* PGMAINT_GENERIC_PLAN_H */
