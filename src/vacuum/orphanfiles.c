/*-------------------------------------------------------------------------
 *
 * orphanfiles.c
 *	  Files that a crash during VACUUM FULL has left on disk.
 *
 * The server forgets the unfinished copy of a table when it crashes, but not
 * its files.  They are reported, not removed: only a person should remove
 * files from a data directory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "action/selection.h"
#include "vacuum/orphanfiles.h"

/*
 * Only files of interrupted tasks are examined.  A file that was last written
 * before the server's recovery ended, and that belongs to no relation now,
 * does not belong to a relation that an open transaction is creating, either:
 * the WAL writer starts when recovery has ended.
 */
void
report_orphaned_files(PlanContext *context)
{
	LedgerQuery query = {0};
	SPITupleTable *tables;
	uint64 rows;

	rows = ledger_query(
		&query,
		"WITH start AS MATERIALIZED (SELECT pg_catalog.min(a.backend_start) AS at "
		"FROM pg_catalog.pg_stat_activity a WHERE a.backend_type = 'walwriter'), "
		"cut AS MATERIALIZED (SELECT t.relation, t.target, pg_catalog.max(t.started_at) AS began "
		"FROM pgmaint.tasks t CROSS JOIN start s WHERE t.action = 'vacuum_full' "
		"AND t.state = 'interrupted' AND t.started_at < s.at "
		"AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) "
		"AND NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts) GROUP BY t.relation, t.target), "
		"folders AS MATERIALIZED (SELECT DISTINCT u.target, u.began, c.reltablespace, "
		"pg_catalog.regexp_replace(pg_catalog.pg_relation_filepath(c.oid), '/[^/]*$', '') AS folder "
		"FROM cut u JOIN pg_catalog.pg_class t ON t.oid = u.relation "
		"JOIN pg_catalog.pg_class c ON c.oid IN (t.oid, t.reltoastrelid) "
		"OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid)) "
		"SELECT pg_catalog.min(f.target) AS target, "
		"pg_catalog.string_agg(DISTINCT f.folder || '/' || l.node, ', ') AS files, "
		"pg_catalog.pg_size_pretty(pg_catalog.sum(s.size)) AS size, "
		"pg_catalog.jsonb_build_object('files', pg_catalog.jsonb_agg(f.folder || '/' || l.name), "
		"'bytes', pg_catalog.sum(s.size))::text AS detail "
		"FROM folders f CROSS JOIN start r "
		"CROSS JOIN LATERAL (SELECT n.name, pg_catalog.split_part(n.name, '.', 1) AS node "
		"FROM pg_catalog.pg_ls_dir(f.folder) n (name) WHERE n.name ~ '^[0-9]+([.][0-9]+)?$') l "
		"CROSS JOIN LATERAL pg_catalog.pg_stat_file(f.folder || '/' || l.name, true) s "
		"WHERE s.size > 0 AND s.modification BETWEEN pg_catalog.date_trunc('second', f.began) AND r.at "
		"AND pg_catalog.pg_filenode_relation(f.reltablespace, l.node::pg_catalog.oid) IS NULL "
		"GROUP BY f.target, f.began ORDER BY f.began");
	tables = SPI_tuptable;
	for (uint64 row = 0; row < rows; row++)
	{
		SPI_tuptable = tables;
		plan_finding(
			context, "orphaned_files", "warning", named_text(row, "target"),
			psprintf(
				"files that belong to no relation use %s: %s; a crash of the server during VACUUM FULL of %s left them; check with pg_filenode_relation() that no relation uses them, then remove them",
				named_text(row, "size"), named_text(row, "files"),
				named_text(row, "target")),
			named_text(row, "detail"));
	}
}
