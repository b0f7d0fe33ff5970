/*-------------------------------------------------------------------------
 *
 * refusal.h
 *	  Reasons why rows cannot be removed from tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REFUSAL_H
#define PGMAINT_REFUSAL_H

#include "retention/policy.h"

/* why rows cannot be taken out of a table */
typedef struct Refusal
{
	char *sqlstate;
	char *message; /* NULL: rows can be taken out */
	char *hint;	   /* or NULL */
} Refusal;

/* all in a ledger scope */
extern void refuse_table(Oid relation, bool archive, Oid role,
						 Refusal *refusal);
extern void refuse_published(List *relations, Refusal *refusals);
extern void refuse_policy(const RetentionPolicy *policy, Oid relation,
						  Oid role, Refusal *refusal);

/* an array, in the order of the list */
extern Refusal *refuse_tables_of_policy(const RetentionPolicy *policy,
										List *relations, Oid role);

#endif /* PGMAINT_REFUSAL_H */
