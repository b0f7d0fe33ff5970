/*-------------------------------------------------------------------------
 *
 * dumpdata.c
 *	  The blocks of data of a dump.
 *
 * A block names its entry, and consists of chunks that end anywhere.  The
 * block of a table is the output of COPY, a line for each row, and a trailer;
 * large objects are a block of many.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "stream/dumpparts.h"

/* in the file */
#define BLOCK_TABLE 1
#define BLOCK_LARGE_OBJECTS 3

/* lines of the trailer */
#define TRAILER_LINES 3

/*
 * The number of lines that end in these bytes.  Compilers vectorize the inner
 * loop, so its speed does not depend on the length of the lines.
 */
static uint64
count_lines(const char *data, size_t length)
{
	uint64 lines = 0;
	const char *end = data + length;

	for (; end - data >= 64; data += 64)
	{
		uint8 found = 0;

		for (int i = 0; i < 64; i++)
			found += data[i] == '\n';
		lines += found;
	}
	while (data < end && (data = memchr(data, '\n', end - data)) != NULL)
	{
		lines++;
		data++;
	}
	return lines;
}

/*
 * Count the lines in bytes of a block, and remember its last bytes.
 */
void
dump_count_rows(DumpFile *dump, const char *data, size_t length)
{
	dump->lines += count_lines(data, length);
	if (length < DUMP_TRAILER_LENGTH)
	{
		memmove(dump->last, dump->last + length, DUMP_TRAILER_LENGTH - length);
		memcpy(dump->last + DUMP_TRAILER_LENGTH - length, data, length);
	}
	else
		memcpy(dump->last, data + length - DUMP_TRAILER_LENGTH,
			   DUMP_TRAILER_LENGTH);
}

/*
 * Find the entry of a block.  Blocks usually have the order of the entries.
 */
static ListedEntry *
find_entry(DumpFile *dump, int dump_id)
{
	int count = list_length(dump->entries);

	for (int i = 0; i < count; i++)
	{
		int at = (dump->searched + i) % count;
		ListedEntry *listed = list_nth(dump->entries, at);

		if (listed->entry.dump_id == dump_id && listed->entry.has_data &&
			!listed->arrived)
		{
			dump->searched = at;
			return listed;
		}
	}
	dump_damaged(&dump->value, "data without an entry in the table of "
							   "contents");
	return NULL;
}

static DumpStep
start_block(DumpFile *dump)
{
	DumpEntry *entry;

	dump->arriving = find_entry(dump, dump->value.number);
	entry = &dump->arriving->entry;
	if (dump->block_type == BLOCK_LARGE_OBJECTS)
	{
		entry->rows = 0;
		dump->counting = false;
		return STEP_LARGE_OBJECT;
	}
	dump->counting = !dump->compressed && entry->copy_statement != NULL &&
					 strcmp(entry->description, "TABLE DATA") == 0;
	dump->lines = 0;
	memset(dump->last, 0, DUMP_TRAILER_LENGTH);
	return STEP_CHUNK_LENGTH;
}

static DumpStep
end_block(DumpFile *dump)
{
	DumpEntry *entry = &dump->arriving->entry;

	if (dump->counting &&
		memcmp(dump->last, DUMP_TRAILER, DUMP_TRAILER_LENGTH) == 0)
		entry->rows = (int64) dump->lines - TRAILER_LINES;
	dump->arriving->arrived = true;
	dump->arriving = NULL;
	dump->blocks_missing--;
	return STEP_BLOCK_TYPE;
}

static DumpStep
accept_large_object(DumpFile *dump)
{
	/* its oid, which is 0 after the last */
	if (dump->value.number == 0)
		return end_block(dump);
	dump->arriving->entry.rows++;
	return STEP_CHUNK_LENGTH;
}

static DumpStep
accept_chunk_length(DumpFile *dump)
{
	if (dump->value.number < 0)
		dump_damaged(&dump->value, "data of a negative length");
	dump->chunk_left = dump->value.number;
	if (dump->chunk_left > 0)
		return STEP_CHUNK;
	return dump->block_type == BLOCK_LARGE_OBJECTS ? STEP_LARGE_OBJECT
												   : end_block(dump);
}

/*
 * Process a complete value before, between or after the bytes of the data.
 */
DumpStep
dump_accept_data(DumpFile *dump)
{
	switch (dump->step)
	{
		case STEP_BLOCK_TYPE:
			dump->block_type = dump->value.bytes[0];
			if (dump->block_type != BLOCK_TABLE &&
				dump->block_type != BLOCK_LARGE_OBJECTS)
				dump_damaged(&dump->value, "data of an unknown kind");
			break;
		case STEP_BLOCK_ID:
			return start_block(dump);
		case STEP_LARGE_OBJECT:
			return accept_large_object(dump);
		default:
			return accept_chunk_length(dump);
	}
	return dump->step + 1;
}
