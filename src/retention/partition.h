/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  The partitions of a table, their bounds, and what depends on them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PARTITION_H
#define PGMAINT_PARTITION_H

#include "retention/refusal.h"

/*
 * Bounds are numbers as the time column's type counts: days or microseconds.
 * All rows lie at or after the lower one and before the upper one.
 */
typedef struct Partition
{
	Oid relation;
	Oid parent;
	char *name;
	char relkind;
	int level;	   /* 1: the first of the list, and those beside it */
	bool timed;	   /* the bounds below are known */
	int64 lower;   /* PG_INT64_MIN: none */
	int64 upper;   /* PG_INT64_MAX: none */
	bool detached; /* of a list of detached partitions: no more to be done */
	char *from;	   /* of a list of detached partitions: the bounds as texts */
	char *to;
	Refusal refusal; /* of a list of partitions that are to leave */
} Partition;

/* all in a ledger scope; no lock on a partition is taken */
extern List *list_partitions(const RetentionPolicy *policy);
extern List *list_partition_tree(const RetentionPolicy *policy, Oid relation);
extern List *list_detached_partitions(const RetentionPolicy *policy);
extern List *list_abandoned_partitions(void);

/* of lists of partitions, an array in their order */
extern char **find_dependents(List *trees);
extern char **find_reasons_for_rows(const RetentionPolicy *policy,
									List *trees);

extern int64 time_as_number(Oid type, const char *time);
extern char *number_as_time(Oid type, int64 number);
extern List *partition_oids(List *partitions);

#endif /* PGMAINT_PARTITION_H */
