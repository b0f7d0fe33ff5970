/*-------------------------------------------------------------------------
 *
 * comparison.c
 *	  Are the archives and backups of the ledger on their storage?
 *
 * The storage is listed first, and the ledger is read after that: an archive or
 * a backup that was finished since the listing began is left for the next
 * comparison.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "objects/comparison.h"

/* $1 is the storage, $2 the time at which its listing began */
#define OWN_OBJECTS                                                                 \
	"SELECT a.key, a.bytes, pg_catalog.concat('archive ', a.archive_id) "           \
	"AS what FROM pgmaint.archives a "                                              \
	"WHERE a.storage = $1::pg_catalog.name AND a.created_at < $2 "                  \
	"AND a.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i) " \
	"UNION ALL "                                                                    \
	"SELECT b.key, b.bytes, pg_catalog.concat('backup ', b.backup_id) "             \
	"FROM pgmaint_internal.backup_records b "                                       \
	"WHERE b.storage = $1::pg_catalog.name AND b.state = 'succeeded' "              \
	"AND coalesce(b.finished_at, b.started_at) < $2 "                               \
	"AND b.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i)"

static void
read_differences(Storage *storage, StorageListing *listing,
				 StorageComparison *comparison)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	uint64 rows;

	bind_text(&query, storage_name(storage));
	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(listing->began_at));
	bind_integer(&query, NAMED_OBJECTS);
	ledger_enter(&scope);
	show_listing(listing);
	rows = ledger_query(
		&query,
		"WITH compared AS MATERIALIZED ("
		"SELECT o.key, o.what, o.bytes, l.bytes AS found "
		"FROM (" OWN_OBJECTS ") o "
		"LEFT JOIN pgmaint_listing l ON l.key = o.key) "
		"SELECT t.known, t.missing, t.differing, n.key, n.what, n.bytes, "
		"coalesce(n.found, -1) AS found_bytes "
		"FROM (SELECT pg_catalog.count(*) AS known, "
		"pg_catalog.count(*) FILTER (WHERE c.found IS NULL) AS missing, "
		"pg_catalog.count(*) FILTER (WHERE c.found <> c.bytes) AS differing "
		"FROM compared c) t "
		"LEFT JOIN (SELECT c.*, pg_catalog.row_number() OVER ("
		"PARTITION BY c.found IS NULL ORDER BY c.key) AS nth "
		"FROM compared c WHERE c.found IS NULL OR c.found <> c.bytes) n "
		"ON n.nth <= $3 ORDER BY n.found IS NULL DESC, n.nth");
	comparison->known = named_bigint(0, "known");
	comparison->missing = named_bigint(0, "missing");
	comparison->differing = named_bigint(0, "differing");
	for (uint64 row = 0; row < rows; row++)
	{
		ComparedObject *object = palloc(sizeof(ComparedObject));

		object->key = named_text(row, "key");
		if (object->key == NULL)
			break;
		object->what = named_text(row, "what");
		object->bytes = named_bigint(row, "bytes");
		object->found_bytes = named_bigint(row, "found_bytes");
		comparison->objects = lappend(comparison->objects, object);
	}
	ledger_leave(&scope);
}

/*
 * The clock may have been set back since, and a list may be late: objects are
 * reported as missing by name only after a request for that name.
 */
static void
ask_for_missing(Storage *storage, StorageComparison *comparison)
{
	ListCell *cell;

	foreach (cell, comparison->objects)
	{
		const ComparedObject *object = lfirst(cell);
		StoredObject stored;

		CHECK_FOR_INTERRUPTS();
		if (object->found_bytes >= 0 ||
			!storage_stat(storage, object->key, &stored) ||
			stored.bytes != object->bytes)
			continue;
		comparison->missing--;
		comparison->objects =
			foreach_delete_current(comparison->objects, cell);
	}
}

void
compare_with_ledger(Storage *storage, StorageListing *listing,
					StorageComparison *comparison)
{
	memset(comparison, 0, sizeof(*comparison));
	read_differences(storage, listing, comparison);
	ask_for_missing(storage, comparison);
}
