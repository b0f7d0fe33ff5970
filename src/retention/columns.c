/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  The columns of a table that go into its archives.
 *
 * Generated columns are omitted: they cannot be inserted, and are computed
 * again when rows are restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datum.h"

#include "ledger/ledger.h"
#include "retention/columns.h"

void
read_archived_columns(Oid relation, ArchivedColumns *columns)
{
	LedgerQuery query = {0};
	bool isnull;

	bind_oid(&query, relation);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) "
		"FILTER (WHERE a.attgenerated = '') AS list, "
		"coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', a.attname, 'type', "
		"pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) "
		"FILTER (WHERE a.attgenerated = ''), '[]')::text AS description, "
		"coalesce(pg_catalog.jsonb_agg(a.attname ORDER BY a.attnum) "
		"FILTER (WHERE a.attgenerated <> ''), '[]')::text AS generated, "
		"coalesce(pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) "
		"FILTER (WHERE a.attgenerated = ''), '{}') AS names "
		"FROM pg_catalog.pg_attribute a "
		"WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped");
	columns->list = named_text(0, "list");
	columns->description = named_text(0, "description");
	columns->generated = named_text(0, "generated");
	columns->names = datumCopy(named_datum(0, "names", &isnull), false, -1);
}
