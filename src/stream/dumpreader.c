/*-------------------------------------------------------------------------
 *
 * dumpreader.c
 *	  Reads the contents of a dump of pg_dump --format=custom while its bytes
 *	  pass through.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "stream/dumpparts.h"

static const DumpValueKind step_kinds[] = {
	[STEP_MAGIC] = DUMP_BYTES,
	[STEP_VERSION] = DUMP_BYTES,
	[STEP_SIZES] = DUMP_BYTES,
	[STEP_COMPRESSION_LEVEL] = DUMP_INT,
	[STEP_COMPRESSION_METHOD] = DUMP_BYTES,
	[STEP_CREATED] = DUMP_BYTES,
	[STEP_DATABASE] = DUMP_STRING,
	[STEP_SERVER_VERSION] = DUMP_STRING,
	[STEP_PROGRAM_VERSION] = DUMP_STRING,
	[STEP_ENTRIES] = DUMP_INT,
	[STEP_DUMP_ID] = DUMP_INT,
	[STEP_HAS_DATA] = DUMP_INT,
	[STEP_TABLE_OID] = DUMP_STRING,
	[STEP_OID] = DUMP_STRING,
	[STEP_TAG] = DUMP_STRING,
	[STEP_DESCRIPTION] = DUMP_STRING,
	[STEP_SECTION] = DUMP_INT,
	[STEP_DEFINITION] = DUMP_STRING,
	[STEP_DROP] = DUMP_STRING,
	[STEP_COPY] = DUMP_STRING,
	[STEP_SCHEMA] = DUMP_STRING,
	[STEP_TABLESPACE] = DUMP_STRING,
	[STEP_ACCESS_METHOD] = DUMP_STRING,
	[STEP_RELKIND] = DUMP_INT,
	[STEP_OWNER] = DUMP_STRING,
	[STEP_WITH_OIDS] = DUMP_STRING,
	[STEP_DEPENDENCY] = DUMP_STRING,
	[STEP_OFFSET] = DUMP_BYTES,
	[STEP_BLOCK_TYPE] = DUMP_BYTES,
	[STEP_BLOCK_ID] = DUMP_INT,
	[STEP_LARGE_OBJECT] = DUMP_INT,
	[STEP_CHUNK_LENGTH] = DUMP_INT,
};

/* a sink that a dump goes through */
typedef struct DumpWatch
{
	Sink sink;
	DumpFile *dump;
} DumpWatch;

/*
 * Create the state of a dump that is about to be read.
 */
DumpFile *
dump_file_create(void)
{
	DumpFile *dump = palloc0(sizeof(DumpFile));

	dump->context = CurrentMemoryContext;
	dump->encoding = -1;
	dump->promised = -1;
	dump_value_init(&dump->value);
	return dump;
}

void
dump_file_take_data(DumpFile *dump, int dump_id, DumpDataTaker taker,
					void *argument)
{
	dump->taken_id = dump_id;
	dump->taker = taker;
	dump->taker_argument = argument;
}

/*
 * The number of bytes that a step reads.
 */
static int
step_bytes(const DumpFile *dump)
{
	switch (dump->step)
	{
		case STEP_MAGIC:
			return 5;
		case STEP_VERSION:
		case STEP_SIZES:
			return 3;
		case STEP_CREATED:
			return 7 * (1 + dump->value.int_size);
		case STEP_OFFSET:
			return 1 + dump->offset_size;
		default:
			return 1;
	}
}

/*
 * Process a complete value, and set the next step.
 */
static DumpStep
accept_value(DumpFile *dump)
{
	if (dump->step < STEP_DUMP_ID)
		return dump_accept_header(dump);
	if (dump->step < STEP_BLOCK_TYPE)
		return dump_accept_entry(dump);
	return dump_accept_data(dump);
}

/*
 * Pass over bytes of the data.
 */
static const char *
pass_chunk(DumpFile *dump, const char *data, const char *end)
{
	size_t taken = Min(dump->chunk_left, (size_t) (end - data));

	if (dump->counting)
		dump_count_rows(dump, data, taken);
	if (dump->taker != NULL && dump->arriving->entry.dump_id == dump->taken_id)
		dump->taker(dump->taker_argument, data, taken);
	dump->value.position += taken;
	dump->chunk_left -= taken;
	if (dump->chunk_left == 0)
		dump->step = STEP_CHUNK_LENGTH;
	return data + taken;
}

/*
 * Read the next bytes.  After an ERROR the state must not be used again.
 */
void
dump_file_feed(DumpFile *dump, const char *data, size_t length)
{
	const char *end = data + length;

	while (data < end)
	{
		CHECK_FOR_INTERRUPTS();
		if (dump->step == STEP_CHUNK)
			data = pass_chunk(dump, data, end);
		else if (dump_value_read(&dump->value, step_kinds[dump->step],
								 step_bytes(dump), &data, end))
			dump->step = accept_value(dump);
	}
}

/*
 * The name of an entry in messages.
 */
static char *
entry_name(const DumpEntry *entry)
{
	return entry->schema == NULL
			   ? psprintf("%s %s", entry->description, entry->tag)
			   : psprintf("%s %s.%s", entry->description, entry->schema,
						  entry->tag);
}

/*
 * The position at which the dump ends, as a sentence.
 */
static char *
place_of_end(const DumpFile *dump)
{
	ListCell *cell;

	if (dump->value.position == 0)
		return "The dump is empty.";
	if (dump->promised < 0)
		return psprintf("The dump ends in its header, after %llu bytes.",
						(unsigned long long) dump->value.position);
	if (!dump_file_listed(dump))
		return psprintf("The dump ends in its table of contents, after %llu "
						"bytes.",
						(unsigned long long) dump->value.position);
	if (dump->arriving != NULL)
		return psprintf("The dump ends within the data of %s, after %llu "
						"bytes.",
						entry_name(&dump->arriving->entry),
						(unsigned long long) dump->value.position);
	foreach (cell, dump->entries)
	{
		ListedEntry *listed = lfirst(cell);

		if (listed->entry.has_data && !listed->arrived)
			return psprintf("The dump ends before the data of %s, after %llu "
							"bytes.",
							entry_name(&listed->entry),
							(unsigned long long) dump->value.position);
	}
	return psprintf("The dump ends before a block of data, after %llu bytes.",
					(unsigned long long) dump->value.position);
}

/*
 * End the dump.  A dump has no mark at its end: it is complete when no value
 * is cut off, and all data that its table of contents announces was read.
 */
void
dump_file_end(DumpFile *dump)
{
	if (dump->step != STEP_BLOCK_TYPE || dump->blocks_missing > 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the dump ends too early"),
						errdetail_internal("%s", place_of_end(dump))));
}

bool
dump_file_listed(const DumpFile *dump)
{
	return dump->step >= STEP_BLOCK_TYPE;
}

List *
dump_file_entries(const DumpFile *dump)
{
	Assert(dump_file_listed(dump));
	return dump->entries;
}

const char *
/* cppcheck-suppress unusedFunction ; test/modules is not looked at */
dump_file_database(const DumpFile *dump)
{
	return dump->database;
}

const char *
dump_file_server_version(const DumpFile *dump)
{
	return dump->server_version;
}

const char *
dump_file_program_version(const DumpFile *dump)
{
	return dump->program_version;
}

bool
dump_file_compressed(const DumpFile *dump)
{
	return dump->compressed;
}

int
dump_file_encoding(const DumpFile *dump)
{
	return dump->encoding;
}

static void
watch_write(Sink *sink, const char *data, size_t length)
{
	dump_file_feed(((DumpWatch *) sink)->dump, data, length);
	if (sink->next != NULL)
		sink_write(sink->next, data, length);
}

static void
watch_end(Sink *sink)
{
	dump_file_end(((DumpWatch *) sink)->dump);
}

static const SinkOps watch_ops = {
	.write = watch_write,
	.end = watch_end,
};

/*
 * Create a sink that reads a dump.  Without a next sink it discards the bytes.
 */
Sink *
dump_watch_create(DumpFile *dump, Sink *next)
{
	DumpWatch *watch =
		(DumpWatch *) sink_create(&watch_ops, sizeof(DumpWatch), next);

	watch->dump = dump;
	return &watch->sink;
}
