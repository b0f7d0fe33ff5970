/*-------------------------------------------------------------------------
 *
 * liverows.c
 *	  How many rows of a table its indexes have to point to.
 *
 * A rebuild of an index that has all rows of the table writes one entry for
 * each row that VACUUM would keep.  One read of a block of the table answers
 * that for all of its rows.  A lookup of an index entry takes a read too, but
 * answers for one row only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/visibilitymap.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"

#include "bloat/heappage.h"
#include "bloat/liverows.h"
#include "bloat/reader.h"

/*
 * The share of blocks that are not all-visible from which counting takes fewer
 * reads than looking up entries, of which several are looked up per leaf page.
 */
#define WORTH_COUNTING 0.3

/*
 * The share of the blocks to be read that are not all-visible.
 */
static double
share_to_look_at(const SamplePart *part)
{
	Buffer map = InvalidBuffer;
	BlockNumber found = 0;

	for (BlockNumber i = 0; i < part->nwanted; i++)
	{
		BlockNumber block = part->blocks == NULL ? i : part->blocks[i];

		CHECK_FOR_INTERRUPTS();
		if (!VM_ALL_VISIBLE(part->rel, block, &map))
			found++;
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	return (double) found / Max(part->nwanted, 1);
}

/*
 * Draws the blocks to be read.  Returns false where the visibility map answers
 * for most rows, so that few have to be looked up, or where the table is not
 * one whose blocks can be read.
 */
bool
live_rows_begin(LiveRows *rows, Relation table, double precision, uint32 seed)
{
	if (table->rd_rel->relam != HEAP_TABLE_AM_OID)
		return false;
	sample_init(&rows->sample, precision, seed);
	rows->part = sample_add(&rows->sample, table);
	rows->horizon = GetOldestNonRemovableTransactionId(table);
	return sample_next_round(&rows->sample) &&
		   share_to_look_at(rows->part) >= WORTH_COUNTING;
}

static void
note_block(Buffer buffer, void *context)
{
	LiveRows *rows = context;
	double values[SAMPLE_VALUES] = {0};

	values[0] = heap_count_live_rows(RelationGetRelid(rows->part->rel), buffer,
									 rows->horizon);
	sample_note(rows->part, BufferGetBlockNumber(buffer), values, 0);
}

/*
 * Reads the blocks, and returns the number of rows in the table.  Its margin,
 * in LiveRows.sample, is a share of so many blocks of an index, each of which
 * has so many rows.
 */
double
live_rows_count(LiveRows *rows, double rows_per_block, int64 blocks)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);

	read_blocks(rows->part->rel, rows->part->blocks, rows->part->nwanted,
				strategy, note_block, rows);
	FreeAccessStrategy(strategy);
	rows->part->unit = rows_per_block * (double) blocks / rows->part->nblocks;
	sample_judge(&rows->sample);
	return sample_total(rows->part, 0);
}
