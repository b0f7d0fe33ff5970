/*-------------------------------------------------------------------------
 *
 * manifest.h
 *	  The manifest of a backup, which describes it without the ledger.
 *
 * The manifest of daily/backup-20261123-020000.dump.gz is a JSON object in
 * daily/backup-20261123-020000.json:
 *
 *	pgmaint				"backup"
 *	kind				"database" or "globals"
 *	key, bytes, sha256	the object
 *	compression			gzip, zstd or none
 *	dump				{"bytes"} before compression; of a database
 *						"program_version" (of pg_dump), too
 *	started_at, finished_at, seconds
 *	server_version, server_version_num
 *	cluster				system identifier, a text
 *	identity			of the database that made it, see pgmaint.identities
 *	extension_version	of pgmaint
 *	run_id
 *	mark				the mark of the object
 *
 * and of a database only:
 *
 *	database, owner, connection_limit, comment (null: none)
 *	encoding, collate, ctype, locale_provider ("c", "i", "b"), locale (of
 *						ICU or the builtin provider), icu_rules
 *	database_bytes		on disk
 *	settings			[{"role" (null: all), "setting": "name=value"}]
 *	extensions			[{"name", "version", "schema"}]
 *	roles				[names] that own or may use something in it
 *	start_lsn, end_lsn	before pg_dump began, after it ended; null on a standby
 *	selection			null: the whole database
 *	complete			true: every object and row of what was selected
 *	tables				[{"schema", "name", "rows" (in the dump; null: not
 *						known), "estimated_rows", "bytes" (on disk, with
 *						indexes), "partition_root" (true where the rows of a
 *						table may be found in another partition),
 *						"of_extension" (true: rows of an extension's own table,
 *						which the extension may have filled already)}]
 *	indexes				[{"schema", "name"}]
 *	constraints			[{"schema", "tag"}]: the table's name, a space, its own
 *	sequences			[{"schema", "name", "value", "is_called"}]
 *	secrets				how many user mappings with options and subscriptions are
 *						in the dump: their passwords are in plain text
 *	excluded			[{"kind", "tag"}]: what exclude_secrets left out of the dump
 *	counts				{"TABLE": 12, "VIEW": 3, ...}, of everything in the dump
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MANIFEST_H
#define PGMAINT_MANIFEST_H

#include "datatype/timestamp.h"

#include "backup/records.h"
#include "exec/programs.h"
#include "storage/storage.h"

/* maximum size of a manifest, for databases with many objects */
#define MAX_MANIFEST_BYTES ((size_t) 256 * 1024 * 1024)

/* the properties of a finished backup */
typedef struct Finished
{
	const char *mark;
	const char *facts;			 /* of read_facts(), or NULL */
	const char *contents;		 /* of describe_contents(), or NULL */
	const char *program_version; /* or NULL */
	const char *end_lsn;		 /* or NULL */
	const char *sha256;
	int64 bytes;
	int64 dump_bytes;
	TimestampTz started_at;
	TimestampTz finished_at;
} Finished;

/* the properties of a database from its own catalogs: a JSON object */
extern char *read_facts(const Login *login, const char *settings);

/* in a ledger scope */
extern char *make_manifest(const BackupRecord *record,
						   const Finished *finished);

/* the text of a manifest, or NULL where there is none; outside of a ledger scope */
extern char *read_manifest(Storage *storage, const char *key);

#endif /* PGMAINT_MANIFEST_H */
