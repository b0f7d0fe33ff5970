/*-------------------------------------------------------------------------
 *
 * rewrites.c
 *	  Detection of tables that were rewritten while pg_dump took its locks.
 *
 * pg_dump takes its snapshot first, and then locks the tables.  TRUNCATE, an
 * ALTER TABLE that rewrites a table, REPACK (CONCURRENTLY), or another table
 * under the same name, committed in between, leave rows that the snapshot does
 * not see: pg_dump dumps none of them, and reports no error.
 *
 * Each of these changes the file of the name.  So the files are read before
 * pg_dump starts, and again when its table of contents arrives, which it
 * writes while it holds all its locks; from then on, no such change is
 * possible before it ends.  If no file has changed, the locked tables are
 * those of the snapshot.  VACUUM FULL and CLUSTER change the file, too,
 * although they keep what snapshots see: then the backup is retried without
 * need.  The same happens where a table is rewritten right before the
 * snapshot, or right after the locks of a very short dump.
 *
 * The TOAST table of a table is rewritten without it only by VACUUM FULL.
 * Catalogs and large objects can be rewritten only in ways that keep what
 * snapshots see, and are not compared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "backup/rewrites.h"

typedef struct TableFile
{
	Oid table; /* the key */
	uint32 file;
	int64 name; /* a hash of it */
} TableFile;

/*
 * A query on pg_class uses the snapshot of the statement, which
 * pg_relation_filenode() does not.  Foreign tables have no file, but a name.
 */
static const char files_query[] =
	"SET search_path = pg_catalog;\n"
	"SELECT c.oid, c.relfilenode, hashtextextended(format('%I.%I', n.nspname, c.relname), 0) "
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
	"WHERE c.relkind IN ('r', 'f') AND c.relpersistence <> 't';\n";

HTAB *
read_table_files(const Login *login, const char *settings)
{
	HASHCTL control = {0};
	char *next = run_psql(login, settings, files_query);
	HTAB *files;

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(TableFile);
	control.hcxt = CurrentMemoryContext;
	files = hash_create("pgmaint files of tables", 1024, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	while (*next != '\0')
	{
		Oid table = (Oid) strtoul(next, &next, 10);
		TableFile *entry = hash_search(files, &table, HASH_ENTER, NULL);

		CHECK_FOR_INTERRUPTS();
		entry->file = (uint32) strtoul(next, &next, 10);
		entry->name = (int64) strtoll(next, &next, 10);
		next += strcspn(next, "\n");
		next += strspn(next, "\n");
	}
	return files;
}

static bool
is_unchanged(HTAB *before, HTAB *after, Oid table)
{
	const TableFile *old = hash_search(before, &table, HASH_FIND, NULL);
	const TableFile *new = hash_search(after, &table, HASH_FIND, NULL);

	return old != NULL && new != NULL && old->file == new->file &&
		   old->name == new->name;
}

static char *
name_in_dump(const DumpFile *dump, const DumpEntry *entry)
{
	const char *name = quote_qualified_identifier(entry->schema, entry->tag);
	int encoding = dump_file_encoding(dump);

	return encoding < 0 ? pstrdup(name)
						: pg_any_to_server(name, (int) strlen(name), encoding);
}

/*
 * The settings must limit the wait for locks. pg_dump has pg_class locked and
 * waits for this process: if VACUUM FULL waits for pg_dump, this process waits
 * for VACUUM FULL, and the server detects no deadlock.
 */
void
check_rewrites(const Login *login, const char *settings, const DumpFile *dump,
			   HTAB *before)
{
	HTAB *after = read_table_files(login, settings);
	ListCell *cell;

	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->description, "TABLE DATA") == 0 &&
			!is_unchanged(before, after, entry->oid))
			ereport(
				ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table %s was rewritten or replaced before pg_dump "
						"had locked it: rows may be missing from the dump",
						name_in_dump(dump, entry)),
				 errhint("Make the backup while no TRUNCATE, ALTER TABLE or "
						 "REPACK (CONCURRENTLY) is running, or leave out the "
						 "table with the option \"exclude_tables\" or "
						 "\"exclude_table_data\".")));
	}
	hash_destroy(after);
}
