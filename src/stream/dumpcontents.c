/*-------------------------------------------------------------------------
 *
 * dumpcontents.c
 *	  The header and the table of contents of a dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/string.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "stream/dumpparts.h"

/* in the file */
#define FORMAT_CUSTOM 1
#define OFFSET_UNKNOWN 1
#define OFFSET_KNOWN 2
#define OFFSET_NONE 3

/*
 * Refuse versions of the format that are not supported.
 */
static void
check_version(const unsigned char *version)
{
	if (version[0] != 1 || version[1] < 14 || version[1] > 16)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("dump format version %d.%d is not supported", version[0],
					version[1]),
			 errdetail("Supported versions are 1.14 (pg_dump 12 to 15), "
					   "1.15 (pg_dump 16) and 1.16 (pg_dump 17 and 18).")));
}

static void
accept_sizes(DumpFile *dump)
{
	const unsigned char *sizes = dump->value.bytes;

	if (sizes[0] < 1 || sizes[0] > DUMP_MAX_SIZE || sizes[1] < 1 ||
		sizes[1] > DUMP_MAX_SIZE)
		dump_damaged(&dump->value, "an impossible size of numbers");
	dump->value.int_size = sizes[0];
	dump->offset_size = sizes[1];
	if (sizes[2] != FORMAT_CUSTOM)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the dump is not in the custom format"),
						errhint("Create the dump with pg_dump "
								"--format=custom.")));
}

/*
 * The encoding that the definition of the entry ENCODING sets.
 */
static int
encoding_set(const char *definition)
{
	char name[NAMEDATALEN];
	const char *from = definition == NULL ? NULL : strchr(definition, '\'');
	const char *to = from == NULL ? NULL : strchr(from + 1, '\'');

	if (to == NULL || to - from > sizeof(name))
		return -1;
	strlcpy(name, from + 1, to - from);
	return pg_char_to_encoding(name);
}

/*
 * Copy the string that was just read.
 */
static char *
kept_string(DumpFile *dump)
{
	return dump->value.string == NULL
			   ? NULL
			   : MemoryContextStrdup(dump->context, dump->value.string);
}

/*
 * The same, with NULL for an empty string.
 */
static char *
kept_name(DumpFile *dump)
{
	char *name = kept_string(dump);

	return name != NULL && name[0] == '\0' ? NULL : name;
}

/*
 * The same, for a string that must not be NULL.
 */
static char *
required_string(DumpFile *dump)
{
	if (dump->value.string == NULL)
		dump_damaged(&dump->value, "no name");
	return kept_string(dump);
}

/*
 * The position at which the int that was just read begins.
 */
static uint64
start_of_int(const DumpValue *value)
{
	return value->position - 1 - (uint64) value->int_size;
}

static void
start_entry(DumpFile *dump)
{
	MemoryContext caller = MemoryContextSwitchTo(dump->context);

	dump->listing = palloc0(sizeof(ListedEntry));
	dump->listing->entry.dump_id = dump->value.number;
	dump->listing->entry.rows = -1;
	dump->listing->begins = start_of_int(&dump->value);
	dump->entries = lappend(dump->entries, dump->listing);
	MemoryContextSwitchTo(caller);
}

/*
 * The dependencies of an entry are numbers, with NULL after the last.
 */
static DumpStep
accept_dependency(DumpFile *dump)
{
	DumpEntry *entry = &dump->listing->entry;
	const char *string = dump->value.string;
	MemoryContext caller;
	char *rest;
	int dump_id;

	if (string == NULL)
		return STEP_OFFSET;
	errno = 0;
	dump_id = strtoint(string, &rest, 10);
	if (errno != 0 || rest == string || *rest != '\0')
		dump_damaged(&dump->value, "a dependency that is not a number");
	caller = MemoryContextSwitchTo(dump->context);
	entry->dependencies = lappend_int(entry->dependencies, dump_id);
	MemoryContextSwitchTo(caller);
	return STEP_DEPENDENCY;
}

/*
 * Finish an entry.
 */
static DumpStep
accept_offset(DumpFile *dump)
{
	DumpEntry *entry = &dump->listing->entry;

	switch (dump->value.bytes[0])
	{
		case OFFSET_UNKNOWN:
			break;
		case OFFSET_KNOWN:
			dump->offsets_known = true;
			break;
		case OFFSET_NONE:
			entry->has_data = false;
			break;
		default:
			dump_damaged(&dump->value, "an unknown kind of offset");
	}
	dump->listing->ends = dump->value.position;
	if (entry->has_data)
		dump->blocks_missing++;
	if (strcmp(entry->description, "ENCODING") == 0)
		dump->encoding = encoding_set(entry->definition);
	return list_length(dump->entries) < dump->promised ? STEP_DUMP_ID
													   : STEP_BLOCK_TYPE;
}

/*
 * Process a complete value of the header.
 */
DumpStep
dump_accept_header(DumpFile *dump)
{
	DumpValue *value = &dump->value;

	switch (dump->step)
	{
		case STEP_MAGIC:
			if (memcmp(value->bytes, "PGDMP", 5) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_DATA_CORRUPTED),
						 errmsg("the file is not a dump in the custom format"),
						 errhint("Create the dump with pg_dump "
								 "--format=custom.")));
			break;
		case STEP_VERSION:
			check_version(value->bytes);
			dump->minor_version = value->bytes[1];
			break;
		case STEP_SIZES:
			accept_sizes(dump);
			return dump->minor_version < 15 ? STEP_COMPRESSION_LEVEL
											: STEP_COMPRESSION_METHOD;
		case STEP_COMPRESSION_LEVEL:
			dump->compressed = value->number != 0;
			return STEP_CREATED;
		case STEP_COMPRESSION_METHOD:
			dump->compressed = value->bytes[0] != 0;
			break;
		case STEP_DATABASE:
			dump->database = required_string(dump);
			break;
		case STEP_SERVER_VERSION:
			dump->server_version = required_string(dump);
			break;
		case STEP_PROGRAM_VERSION:
			dump->program_version = required_string(dump);
			break;
		case STEP_ENTRIES:
			if (value->number < 0)
				dump_damaged(value, "a negative number of entries");
			dump->promised = value->number;
			dump->entries_at = start_of_int(value);
			return dump->promised > 0 ? STEP_DUMP_ID : STEP_BLOCK_TYPE;
		default:
			/* of no interest here */
			break;
	}
	return dump->step + 1;
}

/*
 * Process a complete value of an entry of the table of contents.
 */
DumpStep
dump_accept_entry(DumpFile *dump)
{
	DumpEntry *entry;

	if (dump->step == STEP_DUMP_ID)
		start_entry(dump);
	entry = &dump->listing->entry;
	switch (dump->step)
	{
		case STEP_HAS_DATA:
			entry->has_data = dump->value.number != 0;
			break;
		case STEP_OID:
			if (dump->value.string != NULL)
				entry->oid = atooid(dump->value.string);
			break;
		case STEP_TAG:
			entry->tag = required_string(dump);
			break;
		case STEP_DESCRIPTION:
			entry->description = required_string(dump);
			break;
		case STEP_DEFINITION:
			entry->definition = kept_name(dump);
			break;
		case STEP_COPY:
			entry->copy_statement = kept_name(dump);
			break;
		case STEP_SCHEMA:
			entry->schema = kept_name(dump);
			break;
		case STEP_ACCESS_METHOD:
			return dump->minor_version < 16 ? STEP_OWNER : STEP_RELKIND;
		case STEP_OWNER:
			entry->owner = kept_name(dump);
			break;
		case STEP_DEPENDENCY:
			return accept_dependency(dump);
		case STEP_OFFSET:
			return accept_offset(dump);
		default:
			/* of no interest here */
			break;
	}
	return dump->step + 1;
}
