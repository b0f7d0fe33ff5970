/*-------------------------------------------------------------------------
 *
 * unknown.h
 *	  Objects in a storage that stand in no row of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_UNKNOWN_H
#define PGMAINT_UNKNOWN_H

#include "nodes/pg_list.h"

#include "objects/listing.h"

typedef struct UnknownObject
{
	char *key;
	bool is_archive; /* otherwise a backup */
	int64 bytes;
} UnknownObject;

typedef struct UnknownObjects
{
	List *own;		  /* of UnknownObject: complete, with an own identity */
	int64 foreign;	  /* complete, with the identities of other databases */
	List *identities; /* of String: these */
	int64 anonymous;  /* complete, without an identity */
	int64 not_read;	  /* older ones, whose manifests were not read */
	int64 incomplete; /* objects without a manifest */
	char *incomplete_key; /* the first of them */
} UnknownObjects;

/* in a transaction, outside of a ledger scope, as the role */
extern void find_unknown_objects(Storage *storage, StorageListing *listing,
								 UnknownObjects *unknown);

#endif /* PGMAINT_UNKNOWN_H */
