/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  Partitions that leave as a whole.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PARTITION_H
#define PGMAINT_PARTITION_H

#include "retention/archive.h"

/* a partition, and whether it leaves as a whole */
typedef struct Partition
{
	Oid relation;
	Oid parent;
	char *name;
	bool is_table; /* and not a foreign one */
	bool whole;
	char *from; /* of its bounds, where it leaves as a whole */
	char *to;
} Partition;

/* in a ledger scope */
extern List *list_partitions(const RetentionPolicy *policy,
							 const char *cutoff);
extern List *list_detached_partitions(const RetentionPolicy *policy);
extern void note_detached_partition(const RetentionPolicy *policy,
									Oid relation, Oid parent, const char *from,
									const char *to);
extern char *dependent_of_partition(Oid partition);

/* outside of any transaction */
extern void detach_partition(Oid relation);

/* in a transaction, outside of a ledger scope */
extern void lock_detached_partition(Oid relation);
extern void drop_detached_partition(Oid relation, Oid owner);

#endif /* PGMAINT_PARTITION_H */
