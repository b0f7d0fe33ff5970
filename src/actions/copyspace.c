/*-------------------------------------------------------------------------
 *
 * copyspace.c
 *	  Is there room on disk for a copy of a table?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "actions/copyspace.h"
#include "base/diskspace.h"
#include "base/wording.h"

/*
 * A rewrite writes what is kept of the table, and all its indexes, each on its
 * own tablespace, and sorts the largest index on the database's.  Returns what
 * is missing, where something is, or NULL.  The caller is inside a ledger
 * scope.
 */
char *
describe_want_of_space(const TableBloat *bloat, int64 min_free)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_oid(&query, bloat->relid);
	bind_bigint(&query, bloat->total_bytes - bloat->bloat_bytes);
	rows = ledger_query(
		&query,
		"WITH indexes AS (SELECT x.reltablespace, "
		"pgmaint.file_size(x.relfilenode, x.reltablespace, x.relpages) AS bytes "
		"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid IN (c.oid, c.reltoastrelid) "
		"JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE c.oid = $1) "
		"SELECT p.reltablespace, pg_catalog.sum(p.bytes)::pg_catalog.int8, "
		"coalesce((SELECT s.spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = p.reltablespace), "
		"(SELECT s.spcname FROM pg_catalog.pg_tablespace s JOIN pg_catalog.pg_database d "
		"ON d.dattablespace = s.oid WHERE d.datname = pg_catalog.current_database())) "
		"FROM (SELECT c.reltablespace, $2 AS bytes FROM pg_catalog.pg_class c WHERE c.oid = $1 "
		"UNION ALL SELECT i.reltablespace, i.bytes FROM indexes i "
		"UNION ALL SELECT 0, pg_catalog.max(i.bytes) FROM indexes i) p "
		"GROUP BY p.reltablespace HAVING pg_catalog.sum(p.bytes) > 0 ORDER BY p.reltablespace");
	for (uint64 row = 0; row < rows; row++)
	{
		int64 needed = ledger_bigint(row, 2);
		int64 free = free_bytes_of_tablespace(ledger_oid(row, 1));

		if (needed + min_free > free)
			return psprintf(
				"its copy needs %s on tablespace \"%s\", where %s are free and %s are to be kept free",
				size_text(needed), ledger_text(row, 3), size_text(free),
				size_text(min_free));
	}
	return NULL;
}
