/*-------------------------------------------------------------------------
 *
 * btree_bloat.c
 *	  How much smaller a B-tree would be if it were built anew.
 *
 * Until VACUUM comes by, entries of dead rows look like any other.  So of
 * every leaf page that is read, some of the rows that it points to are looked
 * up in the table, unless the visibility map says that all rows there are
 * visible.  The share of dead ones is taken off the page.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/visibilitymap.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/procarray.h"

#include "bloat/btreepage.h"
#include "bloat/heappage.h"
#include "bloat/index_bloat.h"

/* rows looked up per leaf page of a sample */
#define PROBES_PER_PAGE 8

/* rows looked up if all pages are read: few pages can have more of them each */
#define PROBES_IN_ALL 16384

/* leaf pages that are kept until their rows were looked up */
#define KEPT_PAGES 128

/* what is summed up per block, in Stratum.sum */
#define KEPT 0
#define ROOM 1
#define FREE 2

typedef struct LeafPage
{
	BlockNumber block;
	int ntids; /* that the page points to */
	int nprobes;
	int ndead; /* among these */
	double start;
	PGAlignedBlock page;
} LeafPage;

/* a row to be looked up, for a leaf page */
typedef struct Probe
{
	ItemPointerData tid;
	LeafPage *leaf;
} Probe;

typedef struct BTreeScan
{
	BlockSample *sample;
	SamplePart *part;
	Relation table;
	BufferAccessStrategy strategy;
	BTreeBuild build;
	bool deduplicate;

	LeafPage *leaves;
	int nleaves;

	bool probing; /* is the table one that rows can be looked up in? */
	TransactionId horizon;
	BlockNumber table_blocks;
	Buffer vmbuffer;
	int probes_per_page;
	int *positions;
	ItemPointerData *tids;
	Probe *probes;
	int nprobes;
	int probe; /* the next one to be answered */

	/* of internal pages */
	int64 inner_bytes;
	int64 inner_tuples;
} BTreeScan;

static int
compare_probes(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) & ((const Probe *) a)->tid,
							  (ItemPointer) & ((const Probe *) b)->tid);
}

/*
 * Picks the rows of a leaf page that are to be looked up: every so manieth,
 * from a random start.
 */
static void
choose_probes(BTreeScan *scan, LeafPage *leaf)
{
	Page page = (Page) leaf->page.data;
	int nprobes = Min(scan->probes_per_page, leaf->ntids);
	double step = (double) leaf->ntids / Max(nprobes, 1);
	double start = sampler_state_fract(&scan->sample->random);

	leaf->nprobes = nprobes;
	leaf->ndead = 0;
	if (nprobes == 0 || !scan->probing)
		return;

	for (int i = 0; i < nprobes; i++)
	{
		int position = (int) ((i + start) * step);

		scan->positions[i] = Min(position, leaf->ntids - 1);
	}
	btree_pick_tids(page, scan->positions, nprobes, scan->tids);

	for (int i = 0; i < nprobes; i++)
	{
		BlockNumber block;

		if (!ItemPointerIsValid(&scan->tids[i]))
			continue;
		block = ItemPointerGetBlockNumber(&scan->tids[i]);
		if (block >= scan->table_blocks)
		{
			/* added after we came, so hardly dead; or an entry that leads
			 * nowhere, which a rebuild drops */
			if (block >= RelationGetNumberOfBlocks(scan->table))
				leaf->ndead++;
			continue;
		}
		if (visibilitymap_get_status(scan->table, block, &scan->vmbuffer) &
			VISIBILITYMAP_ALL_VISIBLE)
			continue;
		scan->probes[scan->nprobes].tid = scan->tids[i];
		scan->probes[scan->nprobes].leaf = leaf;
		scan->nprobes++;
	}
}

/*
 * Answers the probes of one block of the table.
 */
static void
probe_table_block(Buffer buffer, void *context)
{
	BTreeScan *scan = context;
	BlockNumber block = BufferGetBlockNumber(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	while (scan->probe < scan->nprobes &&
		   ItemPointerGetBlockNumber(&scan->probes[scan->probe].tid) == block)
	{
		Probe *probe = &scan->probes[scan->probe++];

		if (heap_row_is_dead(RelationGetRelid(scan->table), buffer,
							 scan->horizon, &probe->tid))
			probe->leaf->ndead++;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

static void
answer_probes(BTreeScan *scan)
{
	BlockNumber *blocks;
	BlockNumber nblocks = 0;

	if (scan->nprobes == 0)
		return;
	qsort(scan->probes, scan->nprobes, sizeof(Probe), compare_probes);

	blocks = palloc(scan->nprobes * sizeof(BlockNumber));
	for (int i = 0; i < scan->nprobes; i++)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&scan->probes[i].tid);

		if (nblocks == 0 || blocks[nblocks - 1] != block)
			blocks[nblocks++] = block;
	}
	scan->probe = 0;
	read_blocks(scan->table, blocks, nblocks, scan->strategy,
				probe_table_block, scan);
	pfree(blocks);
	scan->nprobes = 0;
}

/*
 * Looks up the rows of the leaf pages kept so far, and adds the pages to the
 * build and to the sample.
 */
static void
finish_leaves(BTreeScan *scan)
{
	for (int i = 0; i < scan->nleaves; i++)
	{
		CHECK_FOR_INTERRUPTS();
		choose_probes(scan, &scan->leaves[i]);
	}
	answer_probes(scan);

	for (int i = 0; i < scan->nleaves; i++)
	{
		LeafPage *leaf = &scan->leaves[i];
		Page page = (Page) leaf->page.data;
		double live = 1;
		double within = 0;
		double values[SAMPLE_VALUES] = {0};

		if (leaf->nprobes > 0)
			live -= (double) leaf->ndead / leaf->nprobes;
		values[KEPT] = btree_build_page(&scan->build, page, live, leaf->start);
		values[ROOM] = btree_page_room(page);
		values[FREE] = btree_page_free(page);

		if (leaf->nprobes > 1 && leaf->nprobes < leaf->ntids && live > 0)
		{
			double full = values[KEPT] / live;

			within = full * full * live * (1 - live) / (leaf->nprobes - 1) *
					 (1 - (double) leaf->nprobes / leaf->ntids);
		}
		sample_note(scan->part, leaf->block, values, within);
	}
	scan->nleaves = 0;
}

/*
 * Takes a leaf page away in a copy, so that it is locked for no longer than
 * that.
 */
static void
note_btree_page(Buffer buffer, void *context)
{
	BTreeScan *scan = context;
	BlockNumber block = BufferGetBlockNumber(buffer);
	Page page = BufferGetPage(buffer);
	LeafPage *leaf = &scan->leaves[scan->nleaves];
	double values[SAMPLE_VALUES] = {0};
	int ntuples;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	switch (btree_page_kind(page))
	{
		case BTREE_LEAF:
			memcpy(leaf->page.data, page, BLCKSZ);
			LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
			leaf->block = block;
			leaf->ntids = btree_count_tids((Page) leaf->page.data);
			leaf->start = sampler_state_fract(&scan->sample->random);
			if (++scan->nleaves == KEPT_PAGES)
				finish_leaves(scan);
			return;
		case BTREE_INTERNAL:
			scan->inner_bytes += btree_internal_bytes(page, &ntuples);
			scan->inner_tuples += ntuples;
			break;
		default:
			break;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	sample_note(scan->part, block, values, 0);
}

/*
 * Are keys that look the same equal, so that a rebuild merges them?  The meta
 * page says so.
 */
static bool
builds_with_posting_lists(Relation index)
{
	Buffer buffer;
	Page page;
	bool result = false;

	if (index->rd_index->indisunique || !BTGetDeduplicateItems(index))
		return false;

	buffer = ReadBuffer(index, BTREE_METAPAGE);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	if (btree_page_kind(page) == BTREE_META)
	{
		BTMetaPageData *meta = BTPageGetMeta(page);

		result =
			meta->btm_version > BTREE_NOVAC_VERSION && meta->btm_allequalimage;
	}
	UnlockReleaseBuffer(buffer);
	return result;
}

static void
begin_scan(BTreeScan *scan, BlockSample *sample, Relation index,
		   Relation table)
{
	memset(scan, 0, sizeof(BTreeScan));
	scan->sample = sample;
	scan->part = sample_add(sample, index);
	scan->strategy = GetAccessStrategy(BAS_BULKREAD);
	if (scan->part->nblocks > 0)
		scan->deduplicate = builds_with_posting_lists(index);
	scan->leaves = palloc(sizeof(LeafPage) * KEPT_PAGES);
	scan->vmbuffer = InvalidBuffer;

	scan->table = table;
	scan->probing = table->rd_rel->relam == HEAP_TABLE_AM_OID;
	if (scan->probing)
	{
		scan->horizon = GetOldestNonRemovableTransactionId(table);
		scan->table_blocks = RelationGetNumberOfBlocks(table);
	}
}

/*
 * Gets ready for the pages of a round.  If it is the one that reads all of
 * them, whatever was read before does not count.
 */
static void
begin_round(BTreeScan *scan, Relation index)
{
	if (scan->probes_per_page == 0 || scan->sample->full)
	{
		int64 probes = PROBES_PER_PAGE;

		if (scan->sample->full)
			probes = Max(probes, PROBES_IN_ALL / scan->part->nblocks);
		scan->probes_per_page = (int) Min(probes, MaxTIDsPerBTreePage);
		scan->positions = palloc(sizeof(int) * scan->probes_per_page);
		scan->tids = palloc(sizeof(ItemPointerData) * scan->probes_per_page);
		scan->probes =
			palloc(sizeof(Probe) * scan->probes_per_page * KEPT_PAGES);
		scan->inner_bytes = 0;
		scan->inner_tuples = 0;
		btree_build_init(&scan->build, index, scan->deduplicate);
	}
}

/*
 * How many bytes a downlink takes, line pointer included.  Should no internal
 * page have been read there are few of them, and the guess matters little.
 */
static double
downlink_bytes(const BTreeScan *scan)
{
	if (scan->inner_tuples == 0)
		return 3 * sizeof(IndexTupleData) + sizeof(ItemIdData);
	return (double) scan->inner_bytes / scan->inner_tuples;
}

/*
 * Returns how many blocks the index would have after a rebuild: leaf pages,
 * internal pages above them, and the meta page.
 */
double
measure_btree(BlockSample *sample, Relation index, Relation table,
			  IndexBloat *result)
{
	BTreeScan scan;
	double leaves;
	double room;

	begin_scan(&scan, sample, index, table);
	while (sample_next_round(sample))
	{
		begin_round(&scan, index);
		read_blocks(index, scan.part->blocks, scan.part->nwanted,
					scan.strategy, note_btree_page, &scan);
		finish_leaves(&scan);
		scan.part->unit = btree_build_page_bytes(&scan.build);
		sample_judge(sample);
	}
	if (BufferIsValid(scan.vmbuffer))
		ReleaseBuffer(scan.vmbuffer);
	FreeAccessStrategy(scan.strategy);

	room = sample_total(scan.part, ROOM);
	result->has_density = room > 0;
	if (room > 0)
		result->leaf_density = 1 - sample_total(scan.part, FREE) / room;

	if (sample->full)
		leaves = btree_build_pages(&scan.build);
	else
		leaves = ceil(sample_total(scan.part, KEPT) / scan.part->unit);
	return 1 + leaves + btree_build_inner_pages(leaves, downlink_bytes(&scan));
}
