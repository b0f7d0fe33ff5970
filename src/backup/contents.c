/*-------------------------------------------------------------------------
 *
 * contents.c
 *	  The contents of a dump, for its manifest.
 *
 * The contents are read from the dump itself, so a restore must reproduce
 * exactly them, whatever has changed in the database since.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/json.h"

#include "backup/contents.h"

/* how many entries are of a kind */
typedef struct KindCount
{
	char kind[NAMEDATALEN];
	int64 count;
} KindCount;

static bool
is_kind(const DumpEntry *entry, const char *kind)
{
	return strcmp(entry->description, kind) == 0;
}

static char *
converted(const DumpFile *dump, const char *text)
{
	int encoding = dump_file_encoding(dump);

	if (text == NULL || encoding < 0)
		return unconstify(char *, text);
	return pg_any_to_server(text, (int) strlen(text), encoding);
}

static void
append_member(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, "\"%s\": ", name);
	escape_json(json, value);
}

/*
 * Begin a JSON object in an array with the schema and the name of an entry.
 */
static void
begin_object(StringInfo json, const DumpFile *dump, const DumpEntry *entry,
			 const char *name)
{
	if (json->data[json->len - 1] != '[')
		appendStringInfoString(json, ", ");
	appendStringInfoChar(json, '{');
	append_member(json, "schema",
				  entry->schema == NULL ? "" : converted(dump, entry->schema));
	appendStringInfoString(json, ", ");
	append_member(json, name, converted(dump, entry->tag));
}

/*
 * The key that matches the entry of a table with the entry of its rows.
 */
static void
make_key(StringInfo key, const DumpEntry *entry)
{
	resetStringInfo(key);
	appendStringInfo(key, "%s\n%s", entry->schema == NULL ? "" : entry->schema,
					 entry->tag);
}

/*
 * Are the rows copied into the root of a partitioned table, which distributes
 * them?
 */
static bool
rows_go_to_root(const DumpEntry *entry)
{
	char *own;

	if (entry->copy_statement == NULL || entry->schema == NULL)
		return false;
	own = psprintf("COPY %s ",
				   quote_qualified_identifier(entry->schema, entry->tag));
	return strncmp(entry->copy_statement, own, strlen(own)) != 0;
}

/* the tables whose definitions are in the dump */
static HTAB *
defined_tables(const DumpFile *dump)
{
	HASHCTL control = {0};
	HTAB *tables;
	ListCell *cell;
	StringInfoData key;

	control.keysize = 2 * NAMEDATALEN + 2;
	control.entrysize = control.keysize;
	tables = hash_create("pgmaint tables of a dump", 256, &control,
						 HASH_ELEM | HASH_STRINGS);
	initStringInfo(&key);
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		if (!is_kind(entry, "TABLE"))
			continue;
		make_key(&key, entry);
		(void) hash_search(tables, key.data, HASH_ENTER, NULL);
	}
	return tables;
}

/*
 * Tables that have rows in the dump, then tables that have none.
 */
static void
append_tables(StringInfo json, const DumpFile *dump)
{
	HTAB *without_rows = defined_tables(dump);
	StringInfoData key;
	ListCell *cell;

	initStringInfo(&key);
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);
		bool defined;

		CHECK_FOR_INTERRUPTS();
		if (!is_kind(entry, "TABLE DATA"))
			continue;
		make_key(&key, entry);
		begin_object(json, dump, entry, "name");
		if (entry->rows >= 0)
			appendStringInfo(json, ", \"rows\": %lld",
							 (long long) entry->rows);
		if (rows_go_to_root(entry))
			appendStringInfoString(json, ", \"partition_root\": true");
		(void) hash_search(without_rows, key.data, HASH_REMOVE, &defined);
		if (!defined)
			appendStringInfoString(json, ", \"of_extension\": true");
		appendStringInfoChar(json, '}');
	}
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		if (!is_kind(entry, "TABLE"))
			continue;
		make_key(&key, entry);
		if (hash_search(without_rows, key.data, HASH_FIND, NULL) == NULL)
			continue;
		begin_object(json, dump, entry, "name");
		appendStringInfoChar(json, '}');
	}
	hash_destroy(without_rows);
}

static void
append_entries(StringInfo json, const DumpFile *dump, const char *name,
			   const char *const *kinds)
{
	ListCell *cell;

	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		for (const char *const *kind = kinds; *kind != NULL; kind++)
		{
			if (!is_kind(entry, *kind))
				continue;
			begin_object(json, dump, entry, name);
			appendStringInfoChar(json, '}');
		}
	}
}

/*
 * The values of sequences: SELECT pg_catalog.setval('...', 42, true); ends in
 * the value, whatever the name is.
 */
static void
append_sequences(StringInfo json, const DumpFile *dump)
{
	ListCell *cell;

	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);
		const char *value = NULL;
		const char *quote;

		if (!is_kind(entry, "SEQUENCE SET") || entry->definition == NULL)
			continue;
		quote = strrchr(entry->definition, '\'');
		if (quote != NULL && strncmp(quote, "', ", 3) == 0)
			value = quote + 3;
		begin_object(json, dump, entry, "name");
		if (value != NULL)
			appendStringInfo(json, ", \"value\": %lld, \"is_called\": %s",
							 strtoll(value, NULL, 10),
							 strstr(value, ", true)") == NULL ? "false"
															  : "true");
		appendStringInfoChar(json, '}');
	}
}

static void
append_counts(StringInfo json, const DumpFile *dump)
{
	HASHCTL control = {0};
	HASH_SEQ_STATUS status;
	HTAB *counts;
	KindCount *count;
	ListCell *cell;

	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(KindCount);
	counts = hash_create("pgmaint kinds in a dump", 64, &control,
						 HASH_ELEM | HASH_STRINGS);
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);
		bool found;

		count = hash_search(counts, entry->description, HASH_ENTER, &found);
		count->count = found ? count->count + 1 : 1;
	}
	hash_seq_init(&status, counts);
	while ((count = hash_seq_search(&status)) != NULL)
	{
		if (json->data[json->len - 1] != '{')
			appendStringInfoString(json, ", ");
		escape_json(json, count->kind);
		appendStringInfo(json, ": %lld", (long long) count->count);
	}
	hash_destroy(counts);
}

/*
 * Entries whose definitions contain options in plain text, possibly with
 * passwords.
 */
static int
count_secrets(const DumpFile *dump)
{
	ListCell *cell;
	int count = 0;

	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		if (is_kind(entry, "SUBSCRIPTION") ||
			(is_kind(entry, "USER MAPPING") && entry->definition != NULL &&
			 strstr(entry->definition, " OPTIONS (") != NULL))
			count++;
	}
	return count;
}

static void
append_excluded(StringInfo json, const DumpFile *dump, const List *excluded)
{
	ListCell *cell;

	foreach (cell, excluded)
	{
		const DumpEntry *entry = lfirst(cell);

		appendStringInfo(json, "%s{", cell == list_head(excluded) ? "" : ", ");
		append_member(json, "kind", entry->description);
		appendStringInfoString(json, ", ");
		append_member(json, "tag", converted(dump, entry->tag));
		appendStringInfoChar(json, '}');
	}
}

char *
describe_contents(const DumpFile *dump, List *excluded)
{
	static const char *const indexes[] = {"INDEX", NULL};
	static const char *const constraints[] = {"CONSTRAINT", "FK CONSTRAINT",
											  "CHECK CONSTRAINT", NULL};
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"tables\": [");
	append_tables(&json, dump);
	appendStringInfoString(&json, "], \"indexes\": [");
	append_entries(&json, dump, "name", indexes);
	appendStringInfoString(&json, "], \"constraints\": [");
	append_entries(&json, dump, "tag", constraints);
	appendStringInfoString(&json, "], \"sequences\": [");
	append_sequences(&json, dump);
	appendStringInfoString(&json, "], \"counts\": {");
	append_counts(&json, dump);
	appendStringInfo(&json, "}, \"secrets\": %d, \"excluded\": [",
					 count_secrets(dump));
	append_excluded(&json, dump, excluded);
	appendStringInfoString(&json, "]}");
	return json.data;
}
