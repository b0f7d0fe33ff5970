/*-------------------------------------------------------------------------
 *
 * rewrites.c
 *	  Has a table been written anew while pg_dump took its locks?
 *
 * pg_dump takes its snapshot first and locks the tables then.  TRUNCATE, ALTER
 * TABLE where it writes a table anew, REPACK (CONCURRENTLY), or another table
 * under the name of the old one, committed in between, leave rows that the
 * snapshot does not see: pg_dump dumps none of them, and reports no error.
 *
 * Each of them gives the name another file.  So the files are read before
 * pg_dump starts, and again when its table of contents comes, which it writes
 * with all its locks held; from then on none of this can happen before it ends.
 * Where nothing has changed, the tables that it has locked are those of its
 * snapshot.  VACUUM FULL and CLUSTER keep what snapshots see, and change the
 * file all the same; then an attempt is made again that need not be.  So it is
 * where a table is written anew right before the snapshot, or, by a dump that
 * is over in no time, right after the locks.
 *
 * The rows of a table's TOAST table are never written anew without the table
 * but by VACUUM FULL.  Catalogs and large objects can only be written anew in
 * ways that keep what snapshots see, and are not compared.
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
 * pg_class by SQL is what the statement's snapshot sees; pg_relation_filenode()
 * would not be.  Foreign tables have no file, but a name.
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
 * The settings must limit the wait for locks.  pg_dump has pg_class locked, and
 * waits for us: if VACUUM FULL waits for pg_dump, we wait for VACUUM FULL, and
 * the server sees no deadlock.
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
