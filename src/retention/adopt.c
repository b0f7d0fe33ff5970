/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  adopt_archive: adds an object in a storage to pgmaint.archives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "ledger/ledger.h"
#include "objects/keys.h"
#include "objects/storage_names.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_adopt_archive);

/* a manifest has a line for each column of a table */
#define MAX_ARCHIVE_MANIFEST_BYTES ((size_t) 16 * 1024 * 1024)

/*
 * Raise an ERROR if the ledger knows the object.  An object that is being
 * written is added by the transaction that writes it.
 */
static void
refuse_known(const char *storage, const char *key)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.concat('archive ', a.archive_id) FROM pgmaint.archives a "
			"WHERE a.storage = $1::pg_catalog.name AND a.key = $2 UNION ALL "
			"SELECT pg_catalog.concat('an upload of task ', u.task_id) FROM pgmaint_internal.uploads u "
			"WHERE u.storage = $1::pg_catalog.name AND u.key = $2") > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("object \"%s\" in storage \"%s\" is already in the "
						"ledger",
						key, storage),
				 errdetail("The object belongs to %s.", ledger_text(0, 1))));
}

/*
 * Insert the row that the manifest describes, and return its number.
 */
static int64
add_described_archive(const char *storage, const char *key, int64 bytes,
					  const char *manifest)
{
	LedgerQuery query = {0};

	bind_text(&query, storage);
	bind_text(&query, key);
	bind_text(&query, manifest);
	if (ledger_query(
			&query,
			"SELECT (m ->> 'bytes')::pg_catalog.int8 FROM (SELECT $3::pg_catalog.jsonb AS m) x "
			"WHERE m ->> 'pgmaint' = 'archive' AND m ->> 'key' = $2 AND $1 <> '' "
			"AND pg_catalog.jsonb_array_length(m -> 'columns') > 0 "
			"AND NOT EXISTS (SELECT FROM pg_catalog.jsonb_array_elements(m -> 'columns') c "
			"WHERE c.value ->> 'name' IS NULL)") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("object \"%s\" in storage \"%s\" is not an archive",
						key, storage),
				 errdetail("The manifest of the object does not describe an "
						   "archive with this key.")));
	if (ledger_bigint(0, 1) != bytes)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("object \"%s\" in storage \"%s\" is damaged",
							   key, storage),
						errdetail("The object has %lld bytes, but its "
								  "manifest says %lld.",
								  (long long) bytes,
								  (long long) ledger_bigint(0, 1))));
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.archives (policy_id, run_id, relation, partition, storage, key, rows, "
		"bytes, sha256, range_from, range_to, created_at, content_bytes, content_sha256, "
		"compression, columns, identity, adopted_at) "
		"SELECT coalesce((m -> 'policy' ->> 'policy_id')::pg_catalog.int8, 0), "
		"coalesce((m ->> 'run_id')::pg_catalog.int8, 0), m ->> 'relation', m ->> 'partition', "
		"$1::pg_catalog.name, $2, (m ->> 'rows')::pg_catalog.int8, (m ->> 'bytes')::pg_catalog.int8, "
		"m ->> 'sha256', (m ->> 'range_from')::pg_catalog.timestamptz, "
		"(m ->> 'range_to')::pg_catalog.timestamptz, (m ->> 'created_at')::pg_catalog.timestamptz, "
		"(m -> 'content' ->> 'bytes')::pg_catalog.int8, m -> 'content' ->> 'sha256', "
		"m ->> 'compression', (SELECT pg_catalog.array_agg(c.value ->> 'name' ORDER BY c.ordinality) "
		"FROM pg_catalog.jsonb_array_elements(m -> 'columns') WITH ORDINALITY c), m ->> 'identity', "
		"CASE WHEN NOT EXISTS (SELECT FROM pgmaint_internal.own_identities o WHERE o.identity = m ->> 'identity') "
		"THEN pg_catalog.clock_timestamp() END "
		"FROM (SELECT $3::pg_catalog.jsonb AS m) x RETURNING archive_id");
	return ledger_bigint(0, 1);
}

/*
 * pgmaint.adopt_archive(storage text, key text) returns bigint
 */
Datum
pgmaint_adopt_archive(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *key = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Storage *storage;
	StoredObject object;
	char *manifest;
	LedgerScope scope;
	int64 archive_id;

	PreventCommandDuringRecovery("pgmaint.adopt_archive()");
	PreventCommandIfReadOnly("pgmaint.adopt_archive()");
	storage = storage_open(name, STORAGE_READ);
	ledger_enter(&scope);
	follow_storage_names(true);
	refuse_known(name, key);
	ledger_leave(&scope);
	if (!storage_stat(storage, key, &object))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("object \"%s\" does not exist in storage "
							   "\"%s\"",
							   key, name),
						errhint("List the objects with SELECT * FROM "
								"pgmaint.list_objects(%s).",
								quote_literal_cstr(name))));
	manifest = storage_get_text(storage, manifest_key(key),
								MAX_ARCHIVE_MANIFEST_BYTES);
	ledger_enter(&scope);
	archive_id = add_described_archive(name, key, object.bytes, manifest);
	ledger_leave(&scope);
	PG_RETURN_INT64(archive_id);
}
