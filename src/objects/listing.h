/*-------------------------------------------------------------------------
 *
 * listing.h
 *	  The objects of a storage as a table that queries can read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LISTING_H
#define PGMAINT_LISTING_H

#include "ledger/ledger.h"
#include "storage/storage.h"

/* prefix of the keys of pgmaint's own records */
#define OWN_PREFIX ".pgmaint"

typedef struct StorageListing
{
	int64 objects; /* all that were listed, but for pgmaint's own records */
	int64 rows;
	TimestampTz began_at;
	TupleDesc columns;
	Tuplestorestate *store;
} StorageListing;

/*
 * In a transaction, outside of a ledger scope, as the role.  Memory is
 * bounded: a list larger than work_mem goes to a temporary file until the
 * transaction ends.
 */
extern StorageListing *list_storage(Storage *storage);

/*
 * In a ledger scope, until its end: queries read the table pgmaint_listing (key
 * text, bytes bigint, modified timestamptz, manifest text).  It has the objects
 * that archives and backups may consist of; manifest is the key of an object's
 * manifest, null for what may be a manifest.
 */
extern void show_listing(StorageListing *listing);

/* before the (sub)transaction ends */
extern void end_listing(StorageListing *listing);

#endif /* PGMAINT_LISTING_H */
