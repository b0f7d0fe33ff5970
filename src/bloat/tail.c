/*-------------------------------------------------------------------------
 *
 * tail.c
 *	  How much of a table's end VACUUM could cut off.
 *
 * The free space map would tell only of what VACUUM has seen already, so the
 * pages themselves are looked at: all of the last ones, and a few of each
 * stretch before them, which is twice as long as the one that follows it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "storage/procarray.h"

#include "bloat/heappage.h"
#include "bloat/reader.h"
#include "bloat/tail.h"

/* pages of each stretch that are looked at */
#define PROBES 32

typedef struct Probe
{
	Oid relid;
	TransactionId horizon;
	HeapRewrite rewrite;
	BlockNumber beyond; /* the last page with a row that stays, plus one */
} Probe;

static void
note_page(Buffer buffer, void *context)
{
	Probe *probe = context;
	HeapPage page;

	judge_heap_page(probe->relid, buffer, probe->horizon, NULL,
					&probe->rewrite, &page);
	if (page.kept_bytes > 0)
		probe->beyond = Max(probe->beyond, BufferGetBlockNumber(buffer) + 1);
}

/*
 * The number of pages at the end that hold nothing but what can go.
 */
static BlockNumber
free_pages(Relation rel, BufferAccessStrategy strategy)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	BlockNumber end = nblocks;
	BlockNumber length = PROBES;
	Probe probe = {0};

	probe.relid = RelationGetRelid(rel);
	probe.horizon = GetOldestNonRemovableTransactionId(rel);
	heap_rewrite_init(&probe.rewrite, rel);
	while (end > 0 && probe.beyond == 0)
	{
		BlockNumber blocks[PROBES];
		BlockNumber start;

		CHECK_FOR_INTERRUPTS();
		length = Min(length, end);
		start = end - length;
		for (int i = 0; i < (int) Min(PROBES, length); i++)
			blocks[i] = start + (BlockNumber) ((uint64) i * length /
											   Min(PROBES, length));
		read_blocks(rel, blocks, Min(PROBES, length), strategy, note_page,
					&probe);
		end = start;
		length *= 2;
	}
	return nblocks - probe.beyond;
}

/*
 * Of an open table and its TOAST table.
 */
int64
free_tail_bytes(Relation rel)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	int64 pages = free_pages(rel, strategy);

	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation toast =
			table_open(rel->rd_rel->reltoastrelid, AccessShareLock);

		pages += free_pages(toast, strategy);
		table_close(toast, AccessShareLock);
	}
	FreeAccessStrategy(strategy);
	return pages * BLCKSZ;
}
