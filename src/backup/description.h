/*-------------------------------------------------------------------------
 *
 * description.h
 *	  Parsing of the manifests and verification results in a storage.
 *
 * The result of the last verification of a backup is stored beside its object
 * and its manifest (manifest.h), as
 * daily/backup-20261123-020000.verified.json:
 *
 *	pgmaint				"verification"
 *	key, sha256			of the backup
 *	mark				of the backup, and of this object
 *	verification		"restorable", "not restorable", or "intact" for roles
 *						and tablespaces, which are not restored
 *	verified_at			a time with its zone
 *	restore_seconds		duration of the restore; null if it failed
 *	restore_settings	the server and the settings with which that was measured,
 *						up to 1000 bytes; missing if the restore failed, and in
 *						results of earlier versions, which restored into a
 *						database of a live server
 *	error				why the backup is not restorable
 *	identity			of the database that restored it, see pgmaint.identities
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DESCRIPTION_H
#define PGMAINT_DESCRIPTION_H

#include "backup/manifest.h"

/* unknown values are NULL, negative, or 0 for a time */
typedef struct StoredBackup
{
	char *key;
	char *kind;
	char *database;
	char *selection; /* JSON */
	char *compression;
	char *sha256;
	char *mark;
	char *identity; /* of the database that made it */
	char *server_version;
	int64 bytes;
	int64 dump_bytes;
	int64 database_bytes;
	int64 run_id;
	TimestampTz started_at;
	TimestampTz finished_at;
	char *verification;
	TimestampTz verified_at;
	double restore_seconds;
	char *restore_settings; /* of restore_seconds */
	char *verification_error;
	char *error; /* why it cannot be used, or NULL */
} StoredBackup;

/* false where the text is not a manifest of a backup of pgmaint */
extern bool parse_manifest(const char *text, StoredBackup *backup);

/* nothing changes where the text is not about this backup */
extern void parse_verification(const char *text, StoredBackup *backup);

#endif /* PGMAINT_DESCRIPTION_H */
