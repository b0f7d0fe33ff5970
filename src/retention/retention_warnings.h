/*-------------------------------------------------------------------------
 *
 * retention_warnings.h
 *	  What every run says about retention policies that may surprise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_WARNINGS_H
#define PGMAINT_RETENTION_WARNINGS_H

#include "action/action.h"

/* in a ledger scope */
extern void plan_retention_warnings(PlanContext *context);

#endif /* PGMAINT_RETENTION_WARNINGS_H */
