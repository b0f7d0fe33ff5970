/*-------------------------------------------------------------------------
 *
 * departure.h
 *	  Removal of a whole partition in one transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DEPARTURE_H
#define PGMAINT_DEPARTURE_H

#include "retention/partition.h"

typedef struct Departure
{
	const RetentionPolicy *policy;
	Oid relation;
	Oid parent; /* of the plan; InvalidOid: it is detached already */
	const char
		*cutoff;	  /* of the plan; NULL with a partition that is detached */
	bool empty;		  /* the partition is removed only if it has no rows */
	int lock_timeout; /* in milliseconds */
	int lock_retries;
	List *partitions; /* it, and the partitions below it */
	List *above;	  /* OIDs of the tables above it, when they are locked */
} Departure;

/* in a ledger scope */
extern void list_departing_partitions(Departure *departure);
extern char *find_objection(const Departure *departure, Oid role);

/* in a transaction, outside of a ledger scope */
extern bool lock_departing_partitions(Departure *departure);
extern bool has_rows(const Departure *departure);
extern bool drop_departing_partitions(Departure *departure);

#endif /* PGMAINT_DEPARTURE_H */
