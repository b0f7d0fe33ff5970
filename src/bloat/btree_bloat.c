/*-------------------------------------------------------------------------
 *
 * btree_bloat.c
 *	  How much smaller a B-tree would be if it were built anew.
 *
 * Until VACUUM comes by, entries of dead rows look like any other.  So of
 * every leaf page that is read, some of the rows that it points to are looked
 * up in the table, unless the visibility map says that all rows there are
 * visible.  What a rebuild would write for these, with and without the dead
 * ones, gives the share of the page that is live.
 *
 * Where a rebuild merges equal keys, the rows of a key are looked up together.
 * An UPDATE leaves two entries of one key, one of them dead: nothing is left
 * to merge then, and that takes more room than half of a merged pair.
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

/* keys that have rows looked up, per leaf page of a sample */
#define KEYS_PER_PAGE 8

/* the same if all pages are read: few pages can have more of them each */
#define KEYS_IN_ALL 16384

/*
 * How many rows of a key are looked up.  If it has many, what it takes is
 * nearly proportional to their number, and one will do.
 */
#define ROWS_PER_KEY 4
#define MANY_ROWS 32

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
	int first; /* of its keys in BTreeScan.keys */
	int nkeys;
	PGAlignedBlock page;
} LeafPage;

/* a key of a leaf page that has rows looked up */
typedef struct KeyProbe
{
	Size size;
	int ntids;
	int nrows; /* that are looked up */
	int ndead; /* among these */
	double weight;
} KeyProbe;

/* a row to be looked up, for a key */
typedef struct RowProbe
{
	ItemPointerData tid;
	KeyProbe *key;
} RowProbe;

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
	int keys_per_page;
	KeyProbe *keys;
	int nkeys;
	RowProbe *rows;
	int nrows;
	int row; /* the next one to be answered */
	bool dead_seen;

	/* of internal pages */
	int64 inner_bytes;
	int64 inner_tuples;
} BTreeScan;

static int
compare_rows(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) & ((const RowProbe *) a)->tid,
							  (ItemPointer) & ((const RowProbe *) b)->tid);
}

/*
 * Has a row looked up, unless it is clear already what came of it.
 */
static void
probe_row(BTreeScan *scan, KeyProbe *key, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);

	key->nrows++;

	/*
	 * Beyond the table's end as we came: added since, so hardly dead, or an
	 * entry that leads nowhere.
	 */
	if (block >= scan->table_blocks)
	{
		if (block >= RelationGetNumberOfBlocks(scan->table))
			key->ndead++;
		return;
	}
	if (visibilitymap_get_status(scan->table, block, &scan->vmbuffer) &
		VISIBILITYMAP_ALL_VISIBLE)
		return;
	scan->rows[scan->nrows].tid = *tid;
	scan->rows[scan->nrows].key = key;
	scan->nrows++;
}

/*
 * Picks rows of a leaf page: every so manieth, from a random start.  The keys
 * that these belong to are what is looked into.
 */
static void
choose_keys(BTreeScan *scan, LeafPage *leaf)
{
	Page page = (Page) leaf->page.data;
	int wanted = Min(scan->keys_per_page, leaf->ntids);
	double step = (double) leaf->ntids / Max(wanted, 1);
	double start = sampler_state_fract(&scan->sample->random);
	BTreeKey key;
	int seen = 0;
	int picked = 0;

	leaf->first = scan->nkeys;
	leaf->nkeys = 0;
	if (!scan->probing)
		return;

	btree_first_key(page, &key);
	while (picked < wanted && btree_next_key(page, scan->deduplicate, &key))
	{
		KeyProbe *probe = &scan->keys[scan->nkeys];
		int mine = 0;
		int nrows;

		while (picked < wanted && (picked + start) * step < seen + key.ntids)
		{
			picked++;
			mine++;
		}
		seen += key.ntids;
		if (mine == 0)
			continue;

		nrows = mine;
		if (scan->deduplicate && key.ntids < MANY_ROWS)
			nrows = Max(nrows, ROWS_PER_KEY);
		nrows = Min(nrows, key.ntids);

		probe->size = key.size;
		probe->ntids = key.ntids;
		probe->nrows = 0;
		probe->ndead = 0;
		probe->weight = (double) mine / key.ntids;
		for (int i = 0; i < nrows; i++)
		{
			int position = (int) ((i + start) * key.ntids / nrows);
			ItemPointerData tid;

			if (btree_get_tid(page, &key, Min(position, key.ntids - 1), &tid))
				probe_row(scan, probe, &tid);
		}
		scan->nkeys++;
		leaf->nkeys++;
	}
}

/*
 * Looks up the rows of one block of the table.
 */
static void
probe_table_block(Buffer buffer, void *context)
{
	BTreeScan *scan = context;
	BlockNumber block = BufferGetBlockNumber(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	while (scan->row < scan->nrows &&
		   ItemPointerGetBlockNumber(&scan->rows[scan->row].tid) == block)
	{
		RowProbe *row = &scan->rows[scan->row++];

		if (heap_row_is_dead(RelationGetRelid(scan->table), buffer,
							 scan->horizon, &row->tid))
			row->key->ndead++;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

static void
look_up_rows(BTreeScan *scan)
{
	BlockNumber *blocks;
	BlockNumber nblocks = 0;

	if (scan->nrows == 0)
		return;
	qsort(scan->rows, scan->nrows, sizeof(RowProbe), compare_rows);

	blocks = palloc(scan->nrows * sizeof(BlockNumber));
	for (int i = 0; i < scan->nrows; i++)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&scan->rows[i].tid);

		if (nblocks == 0 || blocks[nblocks - 1] != block)
			blocks[nblocks++] = block;
	}
	scan->row = 0;
	read_blocks(scan->table, blocks, nblocks, scan->strategy,
				probe_table_block, scan);
	pfree(blocks);
	scan->nrows = 0;
}

/*
 * Of what a rebuild would write for the page if all of its rows were live,
 * the share that it does write.  "variance" is that of the share.
 */
static double
live_share(const BTreeScan *scan, const LeafPage *leaf, double *variance)
{
	double full = 0;
	double live = 0;
	double squares = 0;
	double share = 1;

	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < leaf->nkeys; i++)
		{
			const KeyProbe *key = &scan->keys[leaf->first + i];
			int nlive = key->ntids;
			double full_bytes;
			double live_bytes;

			if (key->nrows > 0)
				nlive = (int) rint((double) key->ntids *
								   (key->nrows - key->ndead) / key->nrows);
			full_bytes = key->weight * btree_key_bytes(scan->deduplicate,
													   key->size, key->ntids);
			live_bytes = key->weight *
						 btree_key_bytes(scan->deduplicate, key->size, nlive);
			if (pass == 0)
			{
				full += full_bytes;
				live += live_bytes;
			}
			else
			{
				double residual = live_bytes - share * full_bytes;

				squares += residual * residual;
			}
		}
		if (full > 0)
			share = live / full;
	}

	*variance = 0;
	if (leaf->nkeys > 1 && scan->keys_per_page < leaf->ntids)
		*variance = squares / (full * full) * leaf->nkeys / (leaf->nkeys - 1) *
					(1 - (double) scan->keys_per_page / leaf->ntids);
	return share;
}

/*
 * Looks up rows of the leaf pages kept so far, and adds the pages to the
 * build and to the sample.
 */
static void
finish_leaves(BTreeScan *scan)
{
	for (int i = 0; i < scan->nleaves; i++)
	{
		CHECK_FOR_INTERRUPTS();
		choose_keys(scan, &scan->leaves[i]);
	}
	look_up_rows(scan);

	for (int i = 0; i < scan->nleaves; i++)
	{
		LeafPage *leaf = &scan->leaves[i];
		Page page = (Page) leaf->page.data;
		double values[SAMPLE_VALUES] = {0};
		double variance;
		double bytes = btree_build_page(&scan->build, page);

		values[KEPT] = bytes * live_share(scan, leaf, &variance);
		if (values[KEPT] < bytes)
			scan->dead_seen = true;
		values[ROOM] = btree_page_room(page);
		values[FREE] = btree_page_free(page);
		sample_note(scan->part, leaf->block, values, bytes * bytes * variance);
	}
	scan->nleaves = 0;
	scan->nkeys = 0;
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
	if (scan->keys != NULL && !scan->sample->full)
		return;

	scan->keys_per_page = KEYS_PER_PAGE;
	if (scan->sample->full)
		scan->keys_per_page =
			Max(KEYS_PER_PAGE, KEYS_IN_ALL / scan->part->nblocks);
	scan->keys_per_page = Min(scan->keys_per_page, MaxTIDsPerBTreePage);
	scan->keys = palloc(sizeof(KeyProbe) * scan->keys_per_page * KEPT_PAGES);
	scan->rows = palloc(sizeof(RowProbe) * scan->keys_per_page * KEPT_PAGES *
						ROWS_PER_KEY);
	scan->inner_bytes = 0;
	scan->inner_tuples = 0;
	scan->dead_seen = false;
	btree_build_init(&scan->build, index, scan->deduplicate);
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

	/* the build itself does not know of dead rows */
	leaves = ceil(sample_total(scan.part, KEPT) / scan.part->unit);
	if (sample->full && !scan.dead_seen)
		leaves = btree_build_pages(&scan.build);
	return 1 + leaves + btree_build_inner_pages(leaves, downlink_bytes(&scan));
}
