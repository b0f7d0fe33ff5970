/*-------------------------------------------------------------------------
 *
 * restorable.h
 *	  What the restore of a backup needs, by its manifest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORABLE_H
#define PGMAINT_RESTORABLE_H

#include "backup/manifest.h"

/* for FROM: the settings s of the roles in the database, from the manifest $1 */
#define SETTINGS_OF_MANIFEST                                               \
	"(SELECT x.role, pg_catalog.split_part(x.setting, '=', 1) AS name, "   \
	"pg_catalog.substr(x.setting, pg_catalog.strpos(x.setting, '=') + 1) " \
	"AS value FROM pg_catalog.jsonb_to_recordset(coalesce("                \
	"$1::pg_catalog.jsonb -> 'settings', '[]')) "                          \
	"AS x (role text, setting text) WHERE x.setting LIKE '%=%') s"

typedef struct BackupDescription
{
	char *manifest; /* its text */
	char *kind;		/* "database", "globals" */
	char *key;
	int64 bytes;
	char *sha256;
	char *compression;
	char *mark;		/* the mark of the object */
	char *identity; /* of the database that made it, or NULL */
	int64 dump_bytes;
	char *server_version;
	int server_version_num;
	/* of a database */
	char *database;
	char *owner;
	int connection_limit;
	char *comment; /* on the database, or NULL */
	char *encoding;
	char *collate;
	char *ctype;
	char *locale_provider;
	char *locale;
	char *icu_rules;
	int64 database_bytes;
	int64 secrets;		 /* entries that have passwords in plain text */
	char *excluded;		 /* what was left out for these, or NULL */
	List *extensions;	 /* of BackupExtension */
	List *roles;		 /* names of all that it mentions */
	List *missing_roles; /* those that this server does not know */
	List *settings;		 /* of BackupSetting */
} BackupDescription;

typedef struct BackupExtension
{
	char *name;
	char
		*version; /* NULL: this server does not offer the one that was there */
	char *schema;
	bool available;
	bool for_superuser; /* to create it */
	bool elsewhere;		/* it cannot be in a new database */
} BackupExtension;

typedef struct BackupSetting
{
	char *role; /* NULL: all of them */
	char *name;
	char *value;
} BackupSetting;

/*
 * In a transaction.  Raises an ERROR where there is no valid manifest, and
 * where this server cannot restore the backup.
 */
extern BackupDescription *describe_backup(Storage *storage, const char *key);

/*
 * Why the object, by its metadata, is not the object that was written; NULL:
 * no difference was found.
 */
extern char *verify_object_size(Storage *storage,
								const BackupDescription *description);

#endif /* PGMAINT_RESTORABLE_H */
