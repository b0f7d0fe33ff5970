/*-------------------------------------------------------------------------
 *
 * dumpfilter.c
 *	  A dump of pg_dump --format=custom without entries of some kinds.
 *
 * The header and the table of contents are held back until they are complete,
 * and written with fewer entries.  pg_dump writes to a pipe, so no entry has
 * the position of its data, and nothing else has to change.  pg_restore
 * accepts dependencies on missing entries, as in every partial dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/bitmapset.h"

#include "stream/dumpfilter.h"
#include "stream/dumpparts.h"

typedef struct DumpFilter
{
	Sink sink;
	const char *const *kinds;
	DumpFile *dump;
	StringInfoData head; /* until the table of contents is whole */
	List *left_out;		 /* of DumpEntry * */
	int64 left_out_bytes;
} DumpFilter;

/*
 * Is the entry to be left out?  Only kinds without blocks of data can be.
 */
static bool
is_unwanted(const DumpFilter *filter, const DumpEntry *entry,
			const Bitmapset *unwanted)
{
	ListCell *cell;

	if (entry->has_data)
		return false;
	for (const char *const *kind = filter->kinds; *kind != NULL; kind++)
	{
		if (strcmp(entry->description, *kind) == 0)
			return true;
	}
	foreach (cell, entry->dependencies)
	{
		if (bms_is_member(lfirst_int(cell), unwanted))
			return true;
	}
	return false;
}

/*
 * Write an int as pg_dump does: a sign, then its bytes, the lowest first.
 */
static void
write_count(DumpFilter *filter, uint32 count)
{
	char bytes[1 + DUMP_MAX_SIZE] = {0};

	for (int i = 0; i < (int) sizeof(count); i++)
		bytes[1 + i] = (char) (count >> (i * BITS_PER_BYTE));
	sink_write(filter->sink.next, bytes, 1 + filter->dump->value.int_size);
}

static void
write_head(DumpFilter *filter)
{
	const DumpFile *dump = filter->dump;
	const char *head = filter->head.data;
	Sink *next = filter->sink.next;
	uint64 end = dump->entries_at + 1 + (uint64) dump->value.int_size;
	List *kept = NIL;
	Bitmapset *unwanted = NULL;
	ListCell *cell;

	foreach (cell, dump->entries)
	{
		ListedEntry *listed = lfirst(cell);

		end = listed->ends;
		if (!is_unwanted(filter, &listed->entry, unwanted))
		{
			kept = lappend(kept, listed);
			continue;
		}
		unwanted = bms_add_member(unwanted, listed->entry.dump_id);
		filter->left_out = lappend(filter->left_out, &listed->entry);
		filter->left_out_bytes += (int64) (listed->ends - listed->begins);
	}
	if (filter->left_out != NIL && dump->offsets_known)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot remove entries from a dump that contains "
						"positions of data")));
	sink_write(next, head, dump->entries_at);
	write_count(filter, (uint32) list_length(kept));
	foreach (cell, kept)
	{
		const ListedEntry *listed = lfirst(cell);

		sink_write(next, head + listed->begins, listed->ends - listed->begins);
	}
	sink_write(next, head + end, filter->head.len - end);
}

static void
filter_write(Sink *sink, const char *data, size_t length)
{
	DumpFilter *filter = (DumpFilter *) sink;
	MemoryContext caller;

	if (dump_file_listed(filter->dump))
	{
		sink_write(sink->next, data, length);
		return;
	}
	caller = MemoryContextSwitchTo(sink->context);
	appendBinaryStringInfo(&filter->head, data, (int) length);
	dump_file_feed(filter->dump, data, length);
	if (dump_file_listed(filter->dump))
	{
		write_head(filter);
		pfree(filter->head.data);
	}
	MemoryContextSwitchTo(caller);
}

/*
 * A dump that ends in its table of contents is passed on unchanged; the next
 * sink reports the error.
 */
static void
filter_end(Sink *sink)
{
	DumpFilter *filter = (DumpFilter *) sink;

	if (!dump_file_listed(filter->dump))
		sink_write(sink->next, filter->head.data, filter->head.len);
}

static const SinkOps filter_ops = {
	.write = filter_write,
	.end = filter_end,
};

Sink *
dump_filter_create(const char *const *kinds, Sink *next)
{
	DumpFilter *filter =
		(DumpFilter *) sink_create(&filter_ops, sizeof(DumpFilter), next);
	MemoryContext caller = MemoryContextSwitchTo(filter->sink.context);

	filter->kinds = kinds;
	filter->dump = dump_file_create();
	initStringInfo(&filter->head);
	MemoryContextSwitchTo(caller);
	return &filter->sink;
}

List *
dump_filter_left_out(const Sink *sink)
{
	return ((const DumpFilter *) sink)->left_out;
}

int64
dump_filter_left_out_bytes(const Sink *sink)
{
	return ((const DumpFilter *) sink)->left_out_bytes;
}
