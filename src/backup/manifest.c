/*-------------------------------------------------------------------------
 *
 * manifest.c
 *	  The manifest of a backup, which describes it without the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "backup/manifest.h"
#include "ledger/identity.h"
#include "objects/keys.h"

/*
 * Executed in a session in the database that is backed up.  Columns that not
 * every version has are read through to_jsonb.
 */
static const char facts_query[] =
	"SET search_path = pg_catalog;\n"
	"SELECT jsonb_build_object("
	"'database', d.datname, 'owner', pg_get_userbyid(d.datdba), "
	"'connection_limit', d.datconnlimit, "
	"'comment', shobj_description(d.oid, 'pg_database'), "
	"'encoding', pg_encoding_to_char(d.encoding), "
	"'collate', d.datcollate, 'ctype', d.datctype, "
	"'locale_provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), "
	"'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), "
	"'icu_rules', to_jsonb(d) ->> 'daticurules', "
	"'database_bytes', pg_database_size(d.oid), "
	"'server_version', current_setting('server_version'), "
	"'server_version_num', current_setting('server_version_num')::int, "
	"'start_lsn', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END, "
	"'settings', (SELECT coalesce(jsonb_agg(jsonb_build_object("
	"'role', CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, "
	"'setting', c) ORDER BY s.setrole, n), '[]') FROM pg_db_role_setting s, "
	"unnest(s.setconfig) WITH ORDINALITY AS u (c, n) WHERE s.setdatabase = d.oid), "
	"'extensions', (SELECT coalesce(jsonb_agg(jsonb_build_object("
	"'name', e.extname, 'version', e.extversion, 'schema', n.nspname) ORDER BY e.extname), '[]') "
	"FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace), "
	"'roles', (SELECT coalesce(jsonb_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_roles r "
	"WHERE r.oid >= 16384 AND (r.oid = d.datdba OR EXISTS (SELECT FROM pg_shdepend h "
	"WHERE h.dbid = d.oid AND h.refclassid = 'pg_authid'::regclass AND h.refobjid = r.oid))), "
	"'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object("
	"'schema', n.nspname, 'name', c.relname, "
	"'estimated_rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, "
	/*
	 * reading the size takes a lock; pg_dump waits for the same lock, and its
	 * error names the table
	 */
	"'bytes', CASE WHEN c.oid NOT IN (SELECT l.relation FROM pg_locks l "
	"WHERE l.database = d.oid AND l.relation IS NOT NULL AND l.mode = 'AccessExclusiveLock') "
	"THEN pg_total_relation_size(c.oid) END)), '[]') "
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
	"WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384)) "
	"FROM pg_database d WHERE d.datname = current_database();\n";

char *
read_facts(const Login *login, const char *settings)
{
	return run_psql(login, settings, facts_query);
}

/*
 * The tables of the dump, with the properties that the database reported.
 */
char *
make_manifest(const BackupRecord *record, const Finished *finished)
{
	LedgerQuery query = {0};

	bind_text(&query, record->kind);
	bind_text(&query, record->key);
	bind_bigint(&query, finished->bytes);
	bind_text(&query, finished->sha256);
	bind_text(&query, record->compression);
	bind_bigint(&query, finished->dump_bytes);
	bind_text(&query, finished->program_version);
	bind_datum(&query, TIMESTAMPTZOID,
			   TimestampTzGetDatum(finished->started_at));
	bind_datum(&query, TIMESTAMPTZOID,
			   TimestampTzGetDatum(finished->finished_at));
	bind_bigint(&query, record->run_id);
	bind_text(&query, finished->mark);
	bind_text(&query, record->selection);
	bind_text(&query, finished->end_lsn);
	bind_text(&query, finished->facts);
	bind_text(&query, finished->contents);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.jsonb_pretty(pg_catalog.jsonb_build_object(" MANIFEST_ORIGIN
		", "
		"'pgmaint', 'backup', 'kind', $1, 'key', $2, 'bytes', $3, 'sha256', $4, "
		"'compression', $5, 'dump', pg_catalog.jsonb_strip_nulls("
		"pg_catalog.jsonb_build_object('bytes', $6, 'program_version', $7)), "
		"'started_at', $8, 'finished_at', $9, "
		"'seconds', pg_catalog.round(pg_catalog.extract('epoch', $9 - $8), 3), "
		"'server_version_num', pg_catalog.current_setting('server_version_num')::int, "
		"'run_id', $10, 'mark', $11) "
		"|| CASE WHEN $14 IS NULL THEN '{}'::pg_catalog.jsonb ELSE "
		"pg_catalog.jsonb_build_object('complete', true, 'selection', $12::pg_catalog.jsonb, 'end_lsn', $13) "
		"|| ($14::pg_catalog.jsonb - 'tables') || ($15::pg_catalog.jsonb - 'tables') "
		"|| pg_catalog.jsonb_build_object('tables', (SELECT coalesce(pg_catalog.jsonb_agg("
		"t.value || coalesce(f.value - '{schema,name}'::text[], '{}'::pg_catalog.jsonb) ORDER BY t.ordinality), '[]') "
		"FROM ROWS FROM (pg_catalog.jsonb_array_elements($15::pg_catalog.jsonb -> 'tables')) "
		"WITH ORDINALITY AS t (value, ordinality) "
		"LEFT JOIN pg_catalog.jsonb_array_elements($14::pg_catalog.jsonb -> 'tables') f (value) "
		"ON f.value ->> 'schema' = t.value ->> 'schema' AND f.value ->> 'name' = t.value ->> 'name')) END)");
	return ledger_text(0, 1);
}

char *
read_manifest(Storage *storage, const char *key)
{
	StoredObject object;

	if (!storage_stat(storage, manifest_key(key), &object))
		return NULL;
	return storage_get_text(storage, manifest_key(key), MAX_MANIFEST_BYTES);
}
