/*-------------------------------------------------------------------------
 *
 * expire.c
 *	  Removing a backup from its storage.
 *
 * Before a removal, the objects are checked: the manifest must describe the
 * object as the ledger does, and both must carry the mark that the manifest
 * names.  Then the row is set to expiring, with that mark, and committed.  The
 * manifest is removed first, so that the backup no longer counts in the
 * storage, and the object last.  After an interruption, the next run uses the
 * row and its mark to complete the removal.  The row is set to expired when
 * all objects are removed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backup/expire.h"
#include "backup/description.h"
#include "base/subtransaction.h"
#include "objects/keys.h"
#include "objects/marks.h"

typedef struct Parsing
{
	Storage *storage;
	const char *key;
	StoredBackup manifest;
	bool is_manifest;
} Parsing;

bool
read_expiring_backup(int64 backup_id, ExpiringBackup *backup)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup_id);
	if (ledger_query(
			&query,
			"SELECT b.storage::text, b.key, b.sha256, b.state, b.mark, b.identity "
			"FROM pgmaint_internal.backup_records b WHERE b.backup_id = $1 "
			"AND b.state IN ('succeeded', 'expiring') FOR UPDATE") == 0)
		return false;
	backup->backup_id = backup_id;
	backup->storage = named_text(0, "storage");
	backup->key = named_text(0, "key");
	backup->sha256 = named_text(0, "sha256");
	backup->state = named_text(0, "state");
	backup->mark = named_text(0, "mark");
	backup->identity = named_text(0, "identity");
	return true;
}

void
note_expiring_backup(const ExpiringBackup *backup)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup->backup_id);
	bind_text(&query, backup->mark);
	(void) ledger_query(&query, "UPDATE pgmaint_internal.backup_records SET "
								"state = 'expiring', mark = $2 "
								"WHERE backup_id = $1");
}

void
note_expired_backup(const ExpiringBackup *backup)
{
	LedgerQuery query = {0};

	bind_bigint(&query, backup->backup_id);
	(void) ledger_query(&query, "UPDATE pgmaint_internal.backup_records SET "
								"state = 'expired', "
								"expired_at = pg_catalog.clock_timestamp() "
								"WHERE backup_id = $1");
}

static bool
differ(const char *a, const char *b)
{
	return a == NULL || b == NULL || strcmp(a, b) != 0;
}

static void
parse(void *argument)
{
	Parsing *parsing = argument;
	char *text = read_manifest(parsing->storage, parsing->key);

	parsing->is_manifest =
		text != NULL && parse_manifest(text, &parsing->manifest);
}

/*
 * Why the manifest and the marks do not allow the removal, or NULL.
 */
static char *
compare_with_manifest(Storage *storage, ExpiringBackup *backup,
					  const StoredObject *object, const StoredObject *manifest)
{
	Parsing parsing = {.storage = storage, .key = backup->key};
	ErrorData *error = try_in_subtransaction(parse, &parsing);
	const StoredBackup *said = &parsing.manifest;

	if (error != NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
		error->sqlerrcode != ERRCODE_DATA_CORRUPTED)
		ReThrowError(error);
	if (error != NULL)
		return psprintf("the manifest cannot be read: %s", error->message);
	if (!parsing.is_manifest)
		return "the object with the key of its manifest is not a manifest of "
			   "a backup";
	if (differ(said->key, backup->key))
		return psprintf("the manifest describes another object, \"%s\"",
						said->key);
	if (differ(said->sha256, backup->sha256))
		return psprintf("the manifest has SHA-256 %s, the ledger has %s",
						said->sha256, backup->sha256);
	if (differ(manifest->mark, said->mark))
		return "the manifest does not carry the mark that it names";
	if (object != NULL && differ(object->mark, said->mark))
		return "the object does not carry the mark that the manifest names";
	backup->mark = pstrdup(said->mark);
	return NULL;
}

/*
 * Why the objects must not be removed, or NULL. Then the mark is set, unless
 * there is no object.
 */
char *
why_not_to_remove(Storage *storage, ExpiringBackup *backup)
{
	StoredObject object;
	StoredObject manifest;
	bool object_found = storage_stat(storage, backup->key, &object);
	bool manifest_found =
		storage_stat(storage, manifest_key(backup->key), &manifest);

	if (strcmp(backup->state, "expiring") == 0)
	{
		if ((object_found && differ(object.mark, backup->mark)) ||
			(manifest_found && differ(manifest.mark, backup->mark)))
			return "the object or its manifest was replaced after its "
				   "removal began: the mark differs from the one in the "
				   "ledger";
		return NULL;
	}
	if (manifest_found)
		return compare_with_manifest(storage, backup,
									 object_found ? &object : NULL, &manifest);
	return object_found ? "the object has no manifest" : NULL;
}

/*
 * Returns the size of the removed object; 0 if it was missing.
 */
int64
remove_backup(Storage *storage, const ExpiringBackup *backup)
{
	int64 bytes;

	(void) remove_marked(storage, manifest_key(backup->key), backup->mark,
						 NULL);
	(void) remove_marked(storage, verification_key(backup->key), backup->mark,
						 NULL);
	(void) remove_marked(storage, backup->key, backup->mark, &bytes);
	return bytes;
}
