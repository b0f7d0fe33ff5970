/*-------------------------------------------------------------------------
 *
 * manifest.c
 *	  What a backup is, for whoever finds it without a database at hand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backup/manifest.h"
#include "objects/keys.h"

char *
read_manifest(Storage *storage, const char *key)
{
	StoredObject object;

	if (!storage_stat(storage, manifest_key(key), &object))
		return NULL;
	return storage_get_text(storage, manifest_key(key), MAX_MANIFEST_BYTES);
}
