/*-------------------------------------------------------------------------
 *
 * pgmaint_test_dumpfile.c
 *	  An SQL function that says what is in a dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h" /* varatt.h, where there is one */
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "stream/digest.h"
#include "stream/dumpfile.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(dump_contents);

/*
 * Let a dump pass in pieces.  Each is a block of its own, so that a byte too
 * many that is read is one that AddressSanitizer sees.
 */
static char *
pass_dump(DumpFile *dump, const char *data, size_t length, size_t piece)
{
	Sink *digest = digest_create(NULL);
	Sink *first = dump_watch_create(dump, digest);
	char *volatile copy = NULL;

	PG_TRY();
	{
		sink_begin(first);
		for (size_t at = 0; at < length; at += piece)
		{
			size_t taken = Min(piece, length - at);

			copy = malloc(taken);
			if (copy == NULL)
				elog(ERROR, "out of memory");
			memcpy(copy, data + at, taken);
			sink_write(first, copy, taken);
			free(copy);
			copy = NULL;
		}
		sink_end(first);
	}
	PG_CATCH();
	{
		free(copy);
		sink_abort(first);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return digest_sha256(digest);
}

static void
add_string(StringInfo json, const char *name, const char *string, int encoding)
{
	appendStringInfo(json, ", \"%s\": ", name);
	if (string == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, pg_any_to_server(string, strlen(string), encoding));
}

static void
add_entry(StringInfo json, const DumpEntry *entry, int encoding)
{
	ListCell *cell;

	appendStringInfo(json,
					 "{\"dump_id\": %d, \"rows\": %lld, \"has_data\": %s",
					 entry->dump_id, (long long) entry->rows,
					 entry->has_data ? "true" : "false");
	add_string(json, "description", entry->description, encoding);
	add_string(json, "schema", entry->schema, encoding);
	add_string(json, "tag", entry->tag, encoding);
	add_string(json, "owner", entry->owner, encoding);
	add_string(json, "definition", entry->definition, encoding);
	add_string(json, "copy_statement", entry->copy_statement, encoding);
	appendStringInfoString(json, ", \"dependencies\": [");
	foreach (cell, entry->dependencies)
		appendStringInfo(json, "%s%d",
						 cell == list_head(entry->dependencies) ? "" : ", ",
						 lfirst_int(cell));
	appendStringInfoString(json, "]}");
}

/*
 * dump_contents(bytes bytea, piece int, brief bool) returns json: with brief,
 * only how many entries there are, and the memory that they take.
 */
Datum
dump_contents(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	int piece = PG_GETARG_INT32(1);
	bool brief = PG_GETARG_BOOL(2);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dump",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DumpFile *dump = dump_file_create();
	StringInfoData json;
	ListCell *cell;
	char *sha256;
	int encoding;

	MemoryContextSwitchTo(caller);
	initStringInfo(&json);
	sha256 =
		pass_dump(dump, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), piece);
	if (!dump_file_listed(dump))
		elog(ERROR, "the dump has ended, and is not listed");
	appendStringInfo(
		&json, "{\"count\": %d, \"memory\": %llu",
		list_length(dump_file_entries(dump)),
		(unsigned long long) MemoryContextMemAllocated(context, true));
	if (!brief)
	{
		encoding = dump_file_encoding(dump);
		add_string(&json, "sha256", sha256, PG_SQL_ASCII);
		add_string(&json, "encoding", pg_encoding_to_char(encoding),
				   PG_SQL_ASCII);
		add_string(&json, "database", dump_file_database(dump),
				   GetDatabaseEncoding());
		add_string(&json, "server_version", dump_file_server_version(dump),
				   encoding);
		add_string(&json, "program_version", dump_file_program_version(dump),
				   encoding);
		appendStringInfoString(&json, ", \"entries\": [");
		foreach (cell, dump_file_entries(dump))
		{
			if (cell != list_head(dump_file_entries(dump)))
				appendStringInfoString(&json, ", ");
			add_entry(&json, lfirst(cell), encoding);
		}
		appendStringInfoChar(&json, ']');
	}
	appendStringInfoChar(&json, '}');
	MemoryContextDelete(context);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(json.data, json.len));
}
