/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Blocks of a relation, read as quickly as the storage gives them.
 *
 * Blocks in order come through the server's read stream where it has one: many
 * of them in one read.  For scattered blocks the stream asks too little ahead:
 * on 17 as far as maintenance_io_concurrency, which is 10 by default, and on 18
 * no more at a time than there are I/O workers, which took twice as long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "bloat/reader.h"

#if SERVER_HAS_READ_STREAM
#include "storage/read_stream.h"
#endif

/*
 * How far ahead of the reader scattered blocks are asked for.  A disk that has
 * but one request to answer answers a tenth as many.
 */
#define PREFETCH_BLOCKS 128

static void
read_block(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
		   BlockReader reader, void *context)
{
	Buffer buffer;

	CHECK_FOR_INTERRUPTS();
	buffer =
		ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	reader(buffer, context);
	ReleaseBuffer(buffer);
}

#if SERVER_HAS_READ_STREAM

/* the blocks that the stream has yet to ask for */
typedef struct BlockRange
{
	BlockNumber next;
	BlockNumber end;
} BlockRange;

static BlockNumber
next_in_range(ReadStream *stream, void *context, void *per_buffer_data)
{
	BlockRange *range = context;

	return range->next < range->end ? range->next++ : InvalidBlockNumber;
}

static void
read_in_order(Relation rel, BlockNumber nblocks, BufferAccessStrategy strategy,
			  BlockReader reader, void *context)
{
	BlockRange range = {0, nblocks};
	ReadStream *stream = read_stream_begin_relation(
		READ_STREAM_MAINTENANCE | READ_STREAM_SEQUENTIAL | READ_STREAM_FULL,
		strategy, rel, MAIN_FORKNUM, next_in_range, &range, 0);
	Buffer buffer;

	while (BufferIsValid(buffer = read_stream_next_buffer(stream, NULL)))
	{
		CHECK_FOR_INTERRUPTS();
		reader(buffer, context);
		ReleaseBuffer(buffer);
	}
	read_stream_end(stream);
}

#else

static void
read_in_order(Relation rel, BlockNumber nblocks, BufferAccessStrategy strategy,
			  BlockReader reader, void *context)
{
	for (BlockNumber block = 0; block < nblocks; block++)
		read_block(rel, block, strategy, reader, context);
}

#endif

/*
 * Reads blocks of the relation in the order given (or the first so many if
 * that is NULL), and shows each of them to the reader, pinned and unlocked.
 */
void
read_blocks(Relation rel, const BlockNumber *blocks, BlockNumber nblocks,
			BufferAccessStrategy strategy, BlockReader reader, void *context)
{
	BlockNumber ahead = 0;

	if (blocks == NULL)
	{
		read_in_order(rel, nblocks, strategy, reader, context);
		return;
	}

	for (BlockNumber i = 0; i < nblocks; i++)
	{
		for (; ahead < nblocks && ahead < i + PREFETCH_BLOCKS; ahead++)
			PrefetchBuffer(rel, MAIN_FORKNUM, blocks[ahead]);
		read_block(rel, blocks[i], strategy, reader, context);
	}
}
