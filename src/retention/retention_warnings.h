/*-------------------------------------------------------------------------
 *
 * retention_warnings.h
 *	  Warnings of every run about retention policies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_WARNINGS_H
#define PGMAINT_RETENTION_WARNINGS_H

#include "action/action.h"

/* in a ledger scope */
extern void plan_retention_warnings(PlanContext *context);

#endif /* PGMAINT_RETENTION_WARNINGS_H */
