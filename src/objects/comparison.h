/*-------------------------------------------------------------------------
 *
 * comparison.h
 *	  Are the archives and backups of the ledger on their storage?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPARISON_H
#define PGMAINT_COMPARISON_H

#include "nodes/pg_list.h"

#include "objects/listing.h"

/* number of objects that a finding names */
#define NAMED_OBJECTS 100

/* an object that differs from its row in the ledger */
typedef struct ComparedObject
{
	char *key;
	char *what; /* "archive 17", "backup 4" */
	int64 bytes;
	int64 found_bytes; /* -1: the object is missing */
} ComparedObject;

typedef struct StorageComparison
{
	int64 known;	 /* archives and backups of the ledger */
	int64 missing;	 /* of these */
	int64 differing; /* have another size */
	List *objects;	 /* of ComparedObject: the first of both */
} StorageComparison;

/* in a transaction, outside of a ledger scope, as the role */
extern void compare_with_ledger(Storage *storage, StorageListing *listing,
								StorageComparison *comparison);

#endif /* PGMAINT_COMPARISON_H */
