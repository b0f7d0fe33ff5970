/*-------------------------------------------------------------------------
 *
 * remove.c
 *	  pgmaint.remove_object(): removes an object that the ledger does not know.
 *
 * The manifest names the database that wrote the object, and the mark that
 * both carry shows that they belong together.  The manifest goes last: an
 * object that is left when the storage fails in between can be removed in the
 * same way.
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
#include "objects/marks.h"
#include "objects/listing.h"
#include "objects/owner_verdicts.h"
#include "objects/storage_names.h"
#include "storage/storage.h"

PG_FUNCTION_INFO_V1(pgmaint_remove_object);

#define MAX_MANIFEST_BYTES ((size_t) 256 * 1024 * 1024)

typedef struct Removal
{
	Storage *storage;
	const char *name;
	const char *key;
	StoredObject object;
	bool object_found;
	StoredObject manifest;
} Removal;

static void
refuse(const Removal *removal, const char *reason, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot remove object \"%s\" from storage \"%s\"",
					removal->key, removal->name),
			 errdetail("%s", reason), hint != NULL ? errhint("%s", hint) : 0));
}

/*
 * Objects in the ledger are removed by expiry only.  An object of the same
 * name and content in another storage may be this very one: two foreign
 * servers can lead to one folder.
 */
static void
refuse_known(const Removal *removal, const char *sha256)
{
	LedgerQuery query = {0};

	bind_text(&query, removal->name);
	bind_text(&query, removal->key);
	bind_text(&query, sha256);
	if (ledger_query(
			&query,
			"SELECT o.what FROM ("
			"SELECT pg_catalog.format('The object is archive %s in storage %I.', a.archive_id, a.storage) AS what, "
			"a.storage, a.key, a.sha256 FROM pgmaint.archives a "
			"UNION ALL SELECT pg_catalog.format('The object is backup %s in storage %I.', b.backup_id, b.storage), "
			"b.storage, b.key, b.sha256 FROM pgmaint_internal.backup_records b "
			"WHERE b.state IN ('running', 'succeeded', 'expiring')) o "
			"WHERE o.storage = $1::pg_catalog.name AND o.key = $2 "
			"OR o.storage <> $1::pg_catalog.name AND o.sha256 = $3 "
			"AND pg_catalog.regexp_replace(o.key, '^.*/', '') = pg_catalog.regexp_replace($2, '^.*/', '') "
			"UNION ALL SELECT pg_catalog.format('Task %s is writing the object, or was interrupted while writing the object.', u.task_id) "
			"FROM pgmaint_internal.uploads u WHERE u.storage = $1::pg_catalog.name AND u.key = $2") >
		0)
		refuse(removal, ledger_text(0, 1), NULL);
}

/*
 * Refuse to remove an object unless its manifest describes an archive or a
 * backup of this database that is not in the ledger.
 */
static void
refuse_others(const Removal *removal, const char *manifest)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	char *identity;
	char *sha256;
	int64 run_id;
	bool is_own;
	char *reason;

	bind_text(&query, manifest);
	bind_text(&query, removal->key);
	bind_text(&query, removal->name);
	ledger_enter(&scope);
	follow_storage_names(true);
	if (ledger_query(
			&query,
			"SELECT m ->> 'identity' AS identity, coalesce(m ->> 'sha256', '') AS sha256, "
			"EXISTS (SELECT FROM pgmaint_internal.own_identities i WHERE i.identity = m ->> 'identity') AS is_own, "
			"(SELECT r.run_id FROM pgmaint_internal.owner_records r WHERE r.storage = $3::pg_catalog.name "
			"AND r.identity = m ->> 'identity' AND r.run_id IS NOT NULL ORDER BY r.noted_at DESC LIMIT 1) AS run_id "
			"FROM (SELECT $1::pg_catalog.jsonb AS m) x "
			"WHERE m ->> 'pgmaint' IN ('archive', 'backup') AND m ->> 'key' = $2") ==
		0)
		refuse(
			removal,
			"The manifest does not describe an archive or a backup with this key.",
			NULL);
	identity = named_text(0, "identity");
	sha256 = named_text(0, "sha256");
	is_own = named_boolean(0, "is_own");
	run_id = named_bigint(0, "run_id");
	refuse_known(removal, sha256);
	ledger_leave(&scope);
	if (identity == NULL)
		refuse(
			removal,
			"The manifest does not name the database that wrote the object.",
			NULL);
	if (!is_own)
		refuse(
			removal,
			psprintf("A database with identity %s wrote the object.",
					 identity),
			psprintf(
				"If this database is the successor of that database, take over its objects: SELECT pgmaint.take_over('%s').",
				identity));
	/* the verdict of the last run that wrote to the storage, and new records */
	reason = why_not_ours(removal->storage, identity, run_id);
	if (reason != NULL)
		refuse(removal,
			   psprintf("The object must not be removed: %s.", reason), NULL);
}

/*
 * pgmaint.remove_object(storage text, key text) returns boolean
 */
Datum
pgmaint_remove_object(PG_FUNCTION_ARGS)
{
	Removal removal = {.name = text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   .key = text_to_cstring(PG_GETARG_TEXT_PP(1))};
	const char *manifest = manifest_key(removal.key);

	PreventCommandDuringRecovery("pgmaint.remove_object()");
	PreventCommandIfReadOnly("pgmaint.remove_object()");
	removal.storage = storage_open(removal.name, STORAGE_WRITE);
	if (strncmp(removal.key, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
		refuse(&removal, "The object is one of pgmaint's own records.", NULL);
	removal.object_found =
		storage_stat(removal.storage, removal.key, &removal.object);
	if (!storage_stat(removal.storage, manifest, &removal.manifest))
	{
		if (removal.object_found)
			refuse(&removal, "The object has no manifest.", NULL);
		PG_RETURN_BOOL(false);
	}
	refuse_others(&removal, storage_get_text(removal.storage, manifest,
											 MAX_MANIFEST_BYTES));
	if (removal.manifest.mark == NULL ||
		(removal.object_found &&
		 (removal.object.mark == NULL ||
		  strcmp(removal.object.mark, removal.manifest.mark) != 0)))
		refuse(&removal, "The object does not carry the mark of its manifest.",
			   NULL);
	(void) remove_marked(removal.storage, removal.key, removal.manifest.mark,
						 NULL);
	(void) remove_marked(removal.storage, verification_key(removal.key),
						 removal.manifest.mark, NULL);
	(void) remove_marked(removal.storage, manifest, removal.manifest.mark,
						 NULL);
	PG_RETURN_BOOL(true);
}
