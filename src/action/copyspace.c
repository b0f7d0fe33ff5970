/*-------------------------------------------------------------------------
 *
 * copyspace.c
 *	  Disk space for a copy of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/copyspace.h"
#include "action/headroom.h"
#include "base/diskspace.h"

/*
 * A rewrite writes the remaining rows of the table and all its indexes, each
 * on its own tablespace, and sorts the largest index on the tablespace of the
 * database.  Returns a message if space is missing, or NULL.  The caller is
 * inside a ledger scope.
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
		"pgmaint_internal.file_size(x.relfilenode, x.reltablespace, x.relpages) AS bytes "
		"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid IN (c.oid, c.reltoastrelid) "
		"JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE c.oid = $1) "
		"SELECT p.reltablespace, pg_catalog.sum(p.bytes)::pg_catalog.int8 "
		"FROM (SELECT c.reltablespace, $2 AS bytes FROM pg_catalog.pg_class c WHERE c.oid = $1 "
		"UNION ALL SELECT i.reltablespace, i.bytes FROM indexes i "
		"UNION ALL SELECT 0, pg_catalog.max(i.bytes) FROM indexes i) p "
		"GROUP BY p.reltablespace HAVING pg_catalog.sum(p.bytes) > 0 ORDER BY p.reltablespace");
	/* tablespaces may be on one disk */
	for (uint64 row = 0; row < rows; row++)
	{
		Oid tablespace = ledger_oid(row, 1);
		int64 needed = 0;
		char *reason;

		for (uint64 other = 0; other < rows; other++)
		{
			if (other == row ||
				tablespaces_share_disk(tablespace, ledger_oid(other, 1)))
				needed += ledger_bigint(other, 2);
		}
		reason = lack_of_room(tablespace, needed, 0, min_free);
		if (reason != NULL)
			return reason;
	}
	return NULL;
}
