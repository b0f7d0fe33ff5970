/*-------------------------------------------------------------------------
 *
 * restorable.c
 *	  What the restore of a backup needs, by its manifest.
 *
 * A manifest can be written by others: its values are checked or quoted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "backup/restorable.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "objects/keys.h"

/* arguments of read_description(), for try_unless_stopped() */
typedef struct Reading
{
	BackupDescription *description;
	const char *key;
} Reading;

static void
read_scalars(BackupDescription *description)
{
	LedgerQuery query = {0};

	bind_text(&query, description->manifest);
	(void) ledger_query(
		&query,
		"SELECT m ->> 'kind' AS kind, m ->> 'key' AS key, (m ->> 'bytes')::pg_catalog.int8 AS bytes, "
		"m ->> 'sha256' AS sha256, m ->> 'compression' AS compression, "
		"(m -> 'dump' ->> 'bytes')::pg_catalog.int8 AS dump_bytes, "
		"m ->> 'server_version' AS server_version, "
		"(m ->> 'server_version_num')::pg_catalog.int8 AS server_version_num, "
		"m ->> 'database' AS database, m ->> 'owner' AS owner, "
		"coalesce((m ->> 'connection_limit')::pg_catalog.int8, -1) AS connection_limit, "
		"m ->> 'encoding' AS encoding, m ->> 'collate' AS collate, m ->> 'ctype' AS ctype, "
		"m ->> 'locale_provider' AS locale_provider, m ->> 'locale' AS locale, "
		"m ->> 'icu_rules' AS icu_rules, (m ->> 'database_bytes')::pg_catalog.int8 AS database_bytes, "
		"m ->> 'pgmaint' AS pgmaint, m ->> 'mark' AS mark, m ->> 'identity' AS identity, "
		"m ->> 'comment' AS comment, coalesce((m ->> 'secrets')::pg_catalog.int8, 0) AS secrets, "
		"(SELECT pg_catalog.string_agg("
		"CASE WHEN pg_catalog.starts_with(e ->> 'tag', e ->> 'kind') THEN e ->> 'tag' "
		"ELSE pg_catalog.concat(e ->> 'kind', ' ', e ->> 'tag') END, ', ') "
		"FROM pg_catalog.jsonb_array_elements(coalesce(m -> 'excluded', '[]')) AS e) AS excluded "
		"FROM (SELECT $1::pg_catalog.jsonb AS m) AS manifest");
	description->kind = named_text(0, "kind");
	description->key = named_text(0, "key");
	description->bytes = named_bigint(0, "bytes");
	description->sha256 = named_text(0, "sha256");
	description->compression = named_text(0, "compression");
	description->dump_bytes = named_bigint(0, "dump_bytes");
	description->server_version = named_text(0, "server_version");
	description->server_version_num =
		(int) named_bigint(0, "server_version_num");
	description->database = named_text(0, "database");
	description->owner = named_text(0, "owner");
	description->connection_limit = (int) named_bigint(0, "connection_limit");
	description->encoding = named_text(0, "encoding");
	description->collate = named_text(0, "collate");
	description->ctype = named_text(0, "ctype");
	description->locale_provider = named_text(0, "locale_provider");
	description->locale = named_text(0, "locale");
	description->icu_rules = named_text(0, "icu_rules");
	/* limited so that sums do not overflow */
	description->database_bytes =
		Min(Max(named_bigint(0, "database_bytes"), 0), PG_INT64_MAX / 4);
	description->mark = named_text(0, "mark");
	description->identity = named_text(0, "identity");
	description->comment = named_text(0, "comment");
	description->secrets = named_bigint(0, "secrets");
	description->excluded = named_text(0, "excluded");
	if (named_text(0, "pgmaint") == NULL ||
		strcmp(named_text(0, "pgmaint"), "backup") != 0)
		description->kind = NULL;
}

static void
read_extensions(BackupDescription *description)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_text(&query, description->manifest);
	rows = ledger_query(
		&query,
		"SELECT e.name, v.version, e.schema, a.name IS NOT NULL AS available, "
		"coalesce(v.superuser AND NOT v.trusted, d.superuser AND NOT d.trusted, true) AS for_superuser "
		"FROM ROWS FROM (pg_catalog.jsonb_to_recordset(coalesce($1::pg_catalog.jsonb -> 'extensions', '[]')) "
		"AS (name text, version text, schema text)) WITH ORDINALITY AS e (name, version, schema, place) "
		"LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = e.name "
		"LEFT JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.version "
		"LEFT JOIN pg_catalog.pg_available_extension_versions d "
		"ON d.name = e.name AND d.version = a.default_version "
		"WHERE e.name <> 'plpgsql' ORDER BY e.place");
	for (uint64 row = 0; row < rows; row++)
	{
		BackupExtension *extension = palloc0(sizeof(BackupExtension));

		extension->name = named_text(row, "name");
		extension->version = named_text(row, "version");
		extension->schema = named_text(row, "schema");
		extension->available = named_boolean(row, "available");
		extension->for_superuser = named_boolean(row, "for_superuser");
		/*
		 * only one database of a cluster can have it, and that database exists
		 * already
		 */
		extension->elsewhere = strcmp(extension->name, "pg_cron") == 0;
		description->extensions = lappend(description->extensions, extension);
	}
}

static void
read_roles_and_settings(BackupDescription *description)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_text(&query, description->manifest);
	rows = ledger_query(
		&query,
		"SELECT DISTINCT r.name, EXISTS (SELECT FROM pg_catalog.pg_roles p WHERE p.rolname = r.name) "
		"FROM pg_catalog.jsonb_array_elements_text("
		"coalesce($1::pg_catalog.jsonb -> 'roles', '[]') || coalesce("
		"pg_catalog.jsonb_build_array($1::pg_catalog.jsonb -> 'owner'), '[]')) AS r (name) "
		"WHERE r.name IS NOT NULL ORDER BY r.name");
	for (uint64 row = 0; row < rows; row++)
	{
		char *name = ledger_text(row, 1);

		description->roles = lappend(description->roles, name);
		if (!ledger_boolean(row, 2))
			description->missing_roles =
				lappend(description->missing_roles, name);
	}
	rows = ledger_query(
		&query, "SELECT s.role, s.name, s.value FROM " SETTINGS_OF_MANIFEST);
	for (uint64 row = 0; row < rows; row++)
	{
		BackupSetting *setting = palloc0(sizeof(BackupSetting));

		setting->role = named_text(row, "role");
		setting->name = named_text(row, "name");
		setting->value = named_text(row, "value");
		description->settings = lappend(description->settings, setting);
	}
}

static void
read_description(void *argument)
{
	Reading *reading = argument;
	BackupDescription *description = reading->description;
	LedgerScope scope;

	ledger_enter(&scope);
	read_scalars(description);
	if (description->kind != NULL &&
		strcmp(description->kind, "database") == 0)
	{
		read_extensions(description);
		read_roles_and_settings(description);
	}
	ledger_leave(&scope);
	if (description->kind == NULL || description->key == NULL ||
		description->sha256 == NULL || description->compression == NULL ||
		strcmp(description->key, reading->key) != 0 ||
		(strcmp(description->kind, "database") == 0
			 ? description->database == NULL || description->encoding == NULL
			 : strcmp(description->kind, "globals") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("required fields are missing or do not describe this "
						"backup")));
}

/*
 * Checks that would otherwise fail in the middle of the restore.
 */
static void
check_server(const BackupDescription *description)
{
	StringInfoData missing;
	ListCell *cell;

	if (description->server_version_num / 10000 > SERVER_MAJOR_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the backup was made from PostgreSQL %s, which is "
						"newer than this server",
						description->server_version),
				 errhint("Restore the backup on PostgreSQL %d or later.",
						 description->server_version_num / 10000)));
	initStringInfo(&missing);
	foreach (cell, description->extensions)
	{
		const BackupExtension *extension = lfirst(cell);

		if (!extension->available && !extension->elsewhere)
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? ", " : "",
							 extension->name);
	}
	if (missing.len > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg("the backup needs extensions that are not installed "
					"on this server: %s",
					missing.data),
			 errhint(
				 "Install the packages of these extensions, and try again.")));
}

BackupDescription *
describe_backup(Storage *storage, const char *key)
{
	BackupDescription *description = palloc0(sizeof(BackupDescription));
	Reading reading = {description, key};
	ErrorData *error;

	description->manifest = read_manifest(storage, key);
	if (description->manifest == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("object \"%s\" in storage \"%s\" has no manifest \"%s\"",
					key, storage_name(storage), manifest_key(key)),
			 errdetail("A backup without a manifest is not complete."),
			 errhint("If the object is a dump, restore it with pg_restore.")));
	error = try_unless_stopped(read_description, &reading);
	if (error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object \"%s\" in storage \"%s\" is not a valid "
						"manifest of this backup: %s",
						manifest_key(key), storage_name(storage),
						error->message)));
	check_server(description);
	return description;
}

char *
verify_object_size(Storage *storage, const BackupDescription *description)
{
	StoredObject object;

	if (!storage_stat(storage, description->key, &object))
		return psprintf("object \"%s\" no longer exists in storage \"%s\"",
						description->key, storage_name(storage));
	if (object.bytes != description->bytes)
		return psprintf("the object has %lld bytes, but %lld were written",
						(long long) object.bytes,
						(long long) description->bytes);
	return NULL;
}
