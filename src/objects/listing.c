/*-------------------------------------------------------------------------
 *
 * listing.c
 *	  The objects of a storage as a table that queries can read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "objects/keys.h"
#include "objects/listing.h"

#define LISTING_COLUMNS 4

typedef struct ListingVisit
{
	StorageListing *listing;
	MemoryContext scratch; /* of one object */
} ListingVisit;

static bool
ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text);
	size_t end = strlen(suffix);

	return length >= end && strcmp(text + length - end, suffix) == 0;
}

/*
 * Other objects in a storage are only counted.
 */
static bool
visit_object(void *context, const StoredObject *object)
{
	const ListingVisit *visit = context;
	StorageListing *listing = visit->listing;
	MemoryContext caller;
	bool nulls[LISTING_COLUMNS] = {false};

	CHECK_FOR_INTERRUPTS();
	if (strncmp(object->key, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
		return true;
	listing->objects++;
	caller = MemoryContextSwitchTo(visit->scratch);
	nulls[3] = ends_with(object->key, ".json");
	if ((nulls[3] || strlen(key_stem(object->key)) < strlen(object->key)) &&
		pg_verifymbstr(object->key, (int) strlen(object->key), true))
	{
		Datum values[LISTING_COLUMNS];

		values[0] = CStringGetTextDatum(object->key);
		values[1] = Int64GetDatum(object->bytes);
		values[2] = TimestampTzGetDatum(object->modified);
		values[3] = nulls[3] ? (Datum) 0
							 : CStringGetTextDatum(manifest_key(object->key));
		tuplestore_putvalues(listing->store, listing->columns, values, nulls);
		listing->rows++;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(visit->scratch);
	return true;
}

StorageListing *
list_storage(Storage *storage)
{
	StorageListing *listing = palloc0(sizeof(StorageListing));
	ListingVisit visit = {.listing = listing};

	listing->columns = CreateTemplateTupleDesc(LISTING_COLUMNS);
	TupleDescInitEntry(listing->columns, 1, "key", TEXTOID, -1, 0);
	TupleDescInitEntry(listing->columns, 2, "bytes", INT8OID, -1, 0);
	TupleDescInitEntry(listing->columns, 3, "modified", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(listing->columns, 4, "manifest", TEXTOID, -1, 0);
	TupleDescFinalize(listing->columns);
	listing->store = tuplestore_begin_heap(false, false, work_mem);
	listing->began_at = GetCurrentTimestamp();
	visit.scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint listing", ALLOCSET_DEFAULT_SIZES);
	/* nothing that dies meanwhile is to be kept for this process */
	InvalidateCatalogSnapshot();
	storage_list(storage, "", visit_object, &visit);
	MemoryContextDelete(visit.scratch);
	return listing;
}

/*
 * As trigger functions see the tables of their transitions.
 */
void
show_listing(StorageListing *listing)
{
	EphemeralNamedRelation table = palloc0(sizeof(EphemeralNamedRelationData));

	table->md.name = "pgmaint_listing";
	table->md.reliddesc = InvalidOid;
	table->md.tupdesc = listing->columns;
	table->md.enrtype = ENR_NAMED_TUPLESTORE;
	table->md.enrtuples = (double) listing->rows;
	table->reldata = listing->store;
	if (SPI_register_relation(table) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
}

void
end_listing(StorageListing *listing)
{
	tuplestore_end(listing->store);
	listing->store = NULL;
}
