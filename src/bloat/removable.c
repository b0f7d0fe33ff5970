/*-------------------------------------------------------------------------
 *
 * removable.c
 *	  Would VACUUM find anything that it may remove?
 *
 * Behind a session that has been idle in its transaction for hours, or a
 * forgotten replication slot, VACUUM reads a whole table and removes nothing.
 * A few hundred random pages show that beforehand.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "bloat/reader.h"
#include "bloat/removable.h"

/* enough to tell "nothing" from "a tenth" for certain */
#define BLOCKS_TO_LOOK_AT 300

typedef struct RowCount
{
	Relation relation;
	TransactionId horizon;
	RemovableSample *sample;
} RowCount;

/*
 * Count the rows of one page by what VACUUM would do with them.
 */
static void
count_rows(Page page, Buffer buffer, const RowCount *count)
{
	RemovableSample *sample = count->sample;
	TransactionId horizon = count->horizon;
	OffsetNumber last = PageGetMaxOffsetNumber(page);

	for (OffsetNumber item = FirstOffsetNumber; item <= last; item++)
	{
		ItemId pointer = PageGetItemId(page, item);
		HeapTupleData tuple;

		if (ItemIdIsDead(pointer))
			sample->dead++;
		if (!ItemIdIsNormal(pointer))
			continue;
		ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), item);
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, pointer);
		tuple.t_len = ItemIdGetLength(pointer);
		tuple.t_tableOid = RelationGetRelid(count->relation);
		switch (HeapTupleSatisfiesVacuum(&tuple, horizon, buffer))
		{
			case HEAPTUPLE_DEAD:
				sample->dead++;
				break;
			case HEAPTUPLE_RECENTLY_DEAD:
			case HEAPTUPLE_DELETE_IN_PROGRESS:
				sample->recently_dead++;
				break;
			case HEAPTUPLE_LIVE:
				if (TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple.t_data),
										  horizon))
					sample->settled++;
				else
					sample->recent++;
				break;
			case HEAPTUPLE_INSERT_IN_PROGRESS:
				sample->recent++;
				break;
		}
	}
}

static void
count_page(Buffer buffer, void *context)
{
	Page page = BufferGetPage(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(page))
		count_rows(page, buffer, context);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

/*
 * Random pages of a heap that are not all-visible.  Returns how many.
 *
 * All-visible ones cost no more than a look at the map, so ten times as many
 * are drawn; of those that are left, every n-th is taken, so that the whole
 * length of the table is covered.
 */
static int
draw_blocks(Relation relation, BlockNumber *blocks)
{
	BlockSamplerData sampler;
	Buffer map = InvalidBuffer;
	int drawn = 0;

	BlockSampler_Init(&sampler, RelationGetNumberOfBlocks(relation),
					  BLOCKS_TO_LOOK_AT * 10, sampler_seed());
	while (BlockSampler_HasMore(&sampler))
	{
		BlockNumber block = BlockSampler_Next(&sampler);

		CHECK_FOR_INTERRUPTS();
		if (!VM_ALL_VISIBLE(relation, block, &map))
			blocks[drawn++] = block;
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);

	if (drawn > BLOCKS_TO_LOOK_AT)
	{
		for (int i = 0; i < BLOCKS_TO_LOOK_AT; i++)
			blocks[i] = blocks[(int64) i * drawn / BLOCKS_TO_LOOK_AT];
		drawn = BLOCKS_TO_LOOK_AT;
	}
	return drawn;
}

/*
 * Look at random pages of a heap.
 *
 * Takes AccessShareLock, and so may end in a lock timeout.  Leaves the sample
 * empty for relations that are not heaps.
 */
void
sample_removable(Oid relid, RemovableSample *sample)
{
	Relation relation = relation_open(relid, AccessShareLock);
	BufferAccessStrategy strategy;
	BlockNumber *blocks;
	/* cppcheck-suppress ctuuninitvar ; nothing of it is read here */
	RowCount count = {relation, InvalidTransactionId, sample};

	memset(sample, 0, sizeof(*sample));
	if (relation->rd_rel->relam != HEAP_TABLE_AM_OID)
	{
		relation_close(relation, AccessShareLock);
		return;
	}
	count.horizon = GetOldestNonRemovableTransactionId(relation);
	sample->horizon = count.horizon;
	sample->horizon_age =
		(int32) (XidFromFullTransactionId(ReadNextFullTransactionId()) -
				 count.horizon);

	strategy = GetAccessStrategy(BAS_BULKREAD);
	blocks = palloc(sizeof(BlockNumber) * BLOCKS_TO_LOOK_AT * 10);
	sample->blocks = draw_blocks(relation, blocks);
	read_blocks(relation, blocks, sample->blocks, strategy, count_page,
				&count);
	pfree(blocks);
	FreeAccessStrategy(strategy);
	relation_close(relation, AccessShareLock);
}
