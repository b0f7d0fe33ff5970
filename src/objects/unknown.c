/*-------------------------------------------------------------------------
 *
 * unknown.c
 *	  Objects in a storage that stand in no row of the ledger.
 *
 * An object has a row in pgmaint_internal.uploads until its row in the ledger
 * is committed, and so is known at every moment: the storage is listed first,
 * and the ledger is read after that.  The manifest of an object names the
 * database that wrote it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/subtransaction.h"
#include "objects/unknown.h"

/* limit of manifests that are read: each costs a request or two */
#define READ_MANIFESTS 1000
#define MAX_MANIFEST_BYTES ((size_t) 256 * 1024 * 1024)

typedef struct Manifest
{
	Storage *storage;
	const char *key;
	const char *object; /* whose it should be */
	bool is_archive;
	bool is_backup;
	char *identity; /* NULL: it has none */
	bool is_own;
} Manifest;

/* an object that no row has, before its manifest is read */
typedef struct Candidate
{
	char *key;
	char *manifest;
	int64 bytes;
} Candidate;

/*
 * Complete objects, the newest first.
 */
static List *
read_candidates(Storage *storage, StorageListing *listing,
				UnknownObjects *unknown)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	List *candidates = NIL;
	uint64 rows;

	bind_text(&query, storage_name(storage));
	bind_integer(&query, READ_MANIFESTS);
	ledger_enter(&scope);
	show_listing(listing);
	rows = ledger_query(
		&query,
		"WITH unknown AS MATERIALIZED ("
		"SELECT l.*, EXISTS (SELECT FROM pgmaint_listing m WHERE m.key = l.manifest) AS complete "
		"FROM pgmaint_listing l WHERE l.manifest IS NOT NULL "
		"AND NOT EXISTS (SELECT FROM pgmaint.archives a "
		"WHERE a.storage = $1::pg_catalog.name AND a.key = l.key) "
		"AND NOT EXISTS (SELECT FROM pgmaint_internal.backup_records b "
		"WHERE b.storage = $1::pg_catalog.name AND b.key = l.key "
		"AND b.state IN ('running', 'succeeded', 'expiring')) "
		"AND NOT EXISTS (SELECT FROM pgmaint_internal.uploads u "
		"WHERE u.storage = $1::pg_catalog.name AND u.key = l.key)) "
		"SELECT t.incomplete, t.incomplete_key, t.complete, c.key, c.manifest, c.bytes "
		"FROM (SELECT pg_catalog.count(*) FILTER (WHERE NOT u.complete) AS incomplete, "
		"pg_catalog.min(u.key) FILTER (WHERE NOT u.complete) AS incomplete_key, "
		"pg_catalog.count(*) FILTER (WHERE u.complete) AS complete FROM unknown u) t "
		"LEFT JOIN (SELECT u.* FROM unknown u WHERE u.complete "
		"ORDER BY u.modified DESC, u.key LIMIT $2) c ON true");
	unknown->incomplete = named_bigint(0, "incomplete");
	unknown->incomplete_key = named_text(0, "incomplete_key");
	for (uint64 row = 0; row < rows; row++)
	{
		Candidate *candidate = palloc(sizeof(Candidate));

		candidate->key = named_text(row, "key");
		if (candidate->key == NULL)
			break;
		candidate->manifest = named_text(row, "manifest");
		candidate->bytes = named_bigint(row, "bytes");
		candidates = lappend(candidates, candidate);
	}
	unknown->not_read = named_bigint(0, "complete") - list_length(candidates);
	ledger_leave(&scope);
	return candidates;
}

/*
 * A manifest may have been written by any role.
 */
static void
read_manifest(void *argument)
{
	Manifest *manifest = argument;
	LedgerQuery query = {0};
	LedgerScope scope;

	bind_text(&query, storage_get_text(manifest->storage, manifest->key,
									   MAX_MANIFEST_BYTES));
	bind_text(&query, manifest->object);
	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"SELECT m.kind IS NOT DISTINCT FROM 'archive' AS is_archive, "
		"m.kind IS NOT DISTINCT FROM 'backup' AS is_backup, "
		"m.identity, EXISTS (SELECT FROM pgmaint_internal.own_identities i "
		"WHERE i.identity = m.identity) AS is_own FROM (SELECT CASE WHEN j ->> 'key' = $2 "
		"THEN j ->> 'pgmaint' END AS kind, j ->> 'identity' AS identity "
		"FROM (SELECT $1::pg_catalog.jsonb AS j) x) m");
	manifest->is_archive = named_boolean(0, "is_archive");
	manifest->is_backup = named_boolean(0, "is_backup");
	manifest->identity = named_text(0, "identity");
	manifest->is_own = named_boolean(0, "is_own");
	ledger_leave(&scope);
}

/*
 * Classify one object by its manifest.  Objects that are neither an archive
 * nor a backup are ignored.
 */
static void
add_object(UnknownObjects *unknown, const Candidate *candidate,
		   const Manifest *manifest)
{
	UnknownObject *object;

	if (!manifest->is_archive && !manifest->is_backup)
		return;
	if (manifest->identity == NULL)
		unknown->anonymous++;
	else if (!manifest->is_own)
	{
		unknown->foreign++;
		unknown->identities = list_append_unique(
			unknown->identities, makeString(pstrdup(manifest->identity)));
	}
	else
	{
		object = palloc(sizeof(UnknownObject));
		object->key = candidate->key;
		object->is_archive = manifest->is_archive;
		object->bytes = candidate->bytes;
		unknown->own = lappend(unknown->own, object);
	}
}

/*
 * A manifest that cannot be read leaves its object unclassified, and the
 * others are read; a storage that does not answer is an ERROR.
 */
void
find_unknown_objects(Storage *storage, StorageListing *listing,
					 UnknownObjects *unknown)
{
	List *candidates;
	ListCell *cell;
	MemoryContext scratch;
	MemoryContext caller = CurrentMemoryContext;

	memset(unknown, 0, sizeof(*unknown));
	candidates = read_candidates(storage, listing, unknown);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pgmaint manifest",
									ALLOCSET_DEFAULT_SIZES);
	foreach (cell, candidates)
	{
		const Candidate *candidate = lfirst(cell);
		Manifest manifest = {.storage = storage,
							 .key = candidate->manifest,
							 .object = candidate->key};
		ErrorData *error;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(scratch);
		error = try_unless_stopped(read_manifest, &manifest);
		MemoryContextSwitchTo(caller);
		if (error == NULL)
			add_object(unknown, candidate, &manifest);
		else if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
					 ERRCODE_CONNECTION_EXCEPTION ||
				 ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
					 ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
			ReThrowError(error);
		else
			unknown->not_read++;
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
}
