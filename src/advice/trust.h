/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  The roles whose code the planning of a query may run, and the role to
 *	  plan as.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_TRUST_H
#define PGMAINT_ADVICE_TRUST_H

#include "nodes/parsenodes.h"

extern Oid role_to_plan_as(Query *query, Oid role, Oid caller);

#endif /* PGMAINT_ADVICE_TRUST_H */
