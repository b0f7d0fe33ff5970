/*-------------------------------------------------------------------------
 *
 * rebuilds.c
 *	  The rows of pgmaint_internal.index_rebuilds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "reindex/rebuilds.h"

static void
bind_rebuild(LedgerQuery *query, int64 task_id, Oid replaced, Oid built,
			 Oid relation, const char *name, int64 bytes_before)
{
	bind_bigint(query, task_id);
	bind_oid(query, replaced);
	bind_oid(query, built);
	bind_oid(query, relation);
	bind_text(query, name);
	bind_bigint(query, bytes_before);
}

/*
 * Record that an index is being built to replace another one.
 */
void
note_rebuild(int64 task_id, Oid replaced, Oid built, Oid relation,
			 const char *name, int64 bytes)
{
	LedgerQuery query = {0};

	bind_rebuild(&query, task_id, replaced, built, relation, name, bytes);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.index_rebuilds (task_id, replaced, built, relation, object, bytes_before) "
		"VALUES ($1, $2, $3, $4, $5, $6)");
}

/*
 * Record the result of a rebuild, which replaces that of the previous one.
 */
void
finish_rebuild(int64 task_id, Oid replaced, Oid built, Oid relation,
			   const char *name, int64 bytes_before)
{
	LedgerQuery query = {0};

	bind_rebuild(&query, task_id, replaced, built, relation, name,
				 bytes_before);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.index_rebuilds (task_id, replaced, built, relation, object, "
		"bytes_before, finished_at, bytes_after, filenode, writes, collations) "
		"SELECT $1, $2, $3, $4, $5, $6, pg_catalog.clock_timestamp(), "
		"pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages), c.relfilenode, "
		"pg_catalog.pg_stat_get_tuples_inserted($4) + pg_catalog.pg_stat_get_tuples_updated($4) "
		"+ pg_catalog.pg_stat_get_tuples_deleted($4), "
		"(SELECT pg_catalog.jsonb_object_agg(v.collation::text, v.actual) "
		"FROM pgmaint_internal.changed_collations() v WHERE v.collation = ANY (i.indcollation)) "
		"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid "
		"WHERE c.oid = $3 ON CONFLICT (built) DO UPDATE SET task_id = excluded.task_id, "
		"replaced = excluded.replaced, object = excluded.object, "
		"began_at = CASE WHEN index_rebuilds.finished_at IS NULL THEN index_rebuilds.began_at "
		"ELSE excluded.began_at END, finished_at = excluded.finished_at, "
		"bytes_before = excluded.bytes_before, bytes_after = excluded.bytes_after, "
		"filenode = excluded.filenode, writes = excluded.writes, collations = excluded.collations");
}

/*
 * Find the index that an unfinished rebuild has left: the new one before the
 * swap of names, or the old one after it.
 */
void
find_leftover(Oid replaced, Leftover *leftover)
{
	LedgerQuery query = {0};

	memset(leftover, 0, sizeof(*leftover));
	bind_oid(&query, replaced);
	if (ledger_query(
			&query,
			"SELECT CASE WHEN c.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END AS name, "
			"CASE WHEN i.indisvalid THEN b.built ELSE 0::pg_catalog.oid END AS successor, b.relation "
			"FROM pgmaint_internal.index_rebuilds b "
			"JOIN pg_catalog.pg_index i ON i.indexrelid = b.built "
			"LEFT JOIN pg_catalog.pg_index o ON o.indexrelid = b.replaced "
			"LEFT JOIN pg_catalog.pg_class c ON c.oid = CASE WHEN NOT i.indisvalid THEN b.built "
			"WHEN NOT o.indisvalid THEN b.replaced END "
			"LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
			"WHERE b.replaced = $1 AND b.built <> $1 AND b.finished_at IS NULL "
			"AND (c.oid IS NULL OR c.relname ~ '_cc(new|old)[0-9]*$') "
			"ORDER BY b.began_at DESC LIMIT 1") == 0)
		return;
	leftover->successor = named_oid(0, "successor");
	leftover->name = named_text(0, "name");
	leftover->relation = named_oid(0, "relation");
}

/*
 * Drop the rows of indexes that are gone, and of unfinished rebuilds that left
 * no index behind: those of one table, on which the caller holds a lock, or,
 * for InvalidOid, of all tables.
 */
void
forget_rebuilds(Oid relation)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint_internal.index_rebuilds b WHERE ($1 = 0 OR b.relation = $1) AND (NOT EXISTS "
		"(SELECT FROM pg_catalog.pg_class c WHERE c.oid = b.built) "
		"OR b.finished_at IS NULL AND NOT EXISTS "
		"(SELECT FROM pg_catalog.pg_class c WHERE c.oid = b.replaced) AND EXISTS "
		"(SELECT FROM pg_catalog.pg_index i WHERE i.indexrelid = b.built AND i.indisvalid))");
}
