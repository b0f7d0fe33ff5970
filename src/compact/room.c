/*-------------------------------------------------------------------------
 *
 * room.c
 *	  Room for rows at the front of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "utils/rel.h"

#include "compact/room.h"

/*
 * Pages that stay between those that rows come from and those that they go to:
 * room for rows of other sessions, which would else be added behind the end
 * that is to be cut off.
 */
#define RESERVED_PAGES 1
#define RESERVED_SHARE 32

/* pages with room for other rows only that are looked at again */
#define PAGES_AGAIN 64

bool
time_is_up(Batch *batch)
{
	batch->time_is_up =
		batch->time_is_up || GetCurrentTimestamp() >= batch->row_ends;
	return batch->time_is_up;
}

/*
 * The room that the server looks for to put a row of this length on another
 * page: that of RelationGetBufferForTuple().
 */
static Size
room_needed(const Batch *batch, Size length)
{
	Size nearly_empty =
		MaxHeapTupleSize - (MaxHeapTuplesPerPage / 8 * sizeof(ItemIdData));
	Size wanted = MAXALIGN(length) + batch->reserved;

	return wanted > nearly_empty ? Max(MAXALIGN(length), nearly_empty)
								 : wanted;
}

/*
 * The first page that no row is moved to.
 */
static BlockNumber
front_limit(const Compaction *compaction)
{
	BlockNumber reserved = RESERVED_PAGES + compaction->tail / RESERVED_SHARE;

	return compaction->tail > reserved ? compaction->tail - reserved : 0;
}

/*
 * The first page that new rows of other sessions should not be put on: no more
 * than this many before the tail, and not too near to where rows are moved to.
 */
BlockNumber
first_page_to_hide(const Compaction *compaction, BlockNumber ahead)
{
	BlockNumber front = 0;
	BlockNumber from = compaction->tail > ahead ? compaction->tail - ahead : 0;

	for (int i = 0; i < FINGERS; i++)
		front = Max(front, compaction->fingers[i].block);
	if (front < compaction->tail)
		from = Max(from, compaction->tail - (compaction->tail - front) / 2);
	return Max(from, compaction->floor);
}

/*
 * The room on a page: that of the page itself, since the free space map may be
 * out of date, or lost in a crash.
 */
static Size
room_on_page(Relation relation, BlockNumber block)
{
	Buffer buffer = ReadBuffer(relation, block);
	Size room = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(BufferGetPage(buffer)))
		room = PageGetHeapFreeSpace(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return room;
}

/*
 * Find the first page before the tail that has room for a row of this length;
 * InvalidBlockNumber if there is none, or if the batch ended during the search.
 * Of the pages that have room for shorter rows only, no more than a few are
 * looked at again.
 */
BlockNumber
find_room(Batch *batch, Size length)
{
	Size needed = room_needed(batch, length);
	Compaction *compaction = batch->compaction;
	Finger *finger = &compaction->fingers[needed / FINGER_BYTES];
	BlockNumber limit = front_limit(compaction);

	if (finger->least == 0 || needed < finger->least)
		finger->least = needed;
	for (BlockNumber block = finger->block; block < limit; block++)
	{
		Size room = room_on_page(batch->relation, block);

		CHECK_FOR_INTERRUPTS();
		if (room >= needed)
			return block;
		if (block == finger->block && room < finger->least)
		{
			RecordPageWithFreeSpace(batch->relation, block, room);
			finger->block++;
		}
		else if (block - finger->block >= PAGES_AGAIN)
			finger->block++;
		if (time_is_up(batch))
			break;
	}
	return InvalidBlockNumber;
}
