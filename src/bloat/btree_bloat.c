/*-------------------------------------------------------------------------
 *
 * btree_bloat.c
 *	  How much smaller a B-tree would be after a rebuild.
 *
 * Leaf pages are read at random.  Each page goes through a model of the
 * rebuild, without the share of its entries that turns out to be dead.  Where
 * all entries have one size, their number is that of the table's rows, and
 * which of the entries are dead need not be known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"

#include "bloat/btree_bloat.h"
#include "bloat/btreebuild.h"
#include "bloat/btreepage.h"
#include "bloat/btreerows.h"
#include "bloat/liverows.h"
#include "bloat/reader.h"

/* leaf pages that are kept until their rows were looked up */
#define KEPT_PAGES 128

/* as good as none: keys that several rows share, as a share of all bytes */
#define FEW_SHARED 0.005

/* what is summed up per block, in Stratum.sum */
#define KEPT 0
#define ROOM 1
#define FREE 2

typedef struct LeafPage
{
	BlockNumber block;
	LeafKeys keys;
	PGAlignedBlock page;
} LeafPage;

typedef struct BTreeScan
{
	SamplePart *part;
	BufferAccessStrategy strategy;
	RowLookup lookup;
	BTreeBuild build;
	bool dead_seen;

	LeafPage *leaves;
	int nleaves;

	bool full;				   /* every page is read */
	bool counting;			   /* the table is asked for the number of rows */
	bool in_order;			   /* leaf pages lie as a rebuild writes them */
	BlockNumber right_of_last; /* leaf page */
	double leaf_mean;		   /* of what leaf pages read so far keep */
	int64 nleaves_read;

	/* of internal pages */
	List *inner_blocks; /* of this round, as OIDs: they are as wide */
	int64 inner_bytes;
	int64 inner_tuples;
	int64 parents;		 /* internal pages right above leaf pages ... */
	int64 parent_tuples; /* ... and their downlinks */
} BTreeScan;

/*
 * Looks up rows that the kept leaf pages point to, and adds the pages to the
 * build and to the sample.
 */
static void
finish_leaves(BTreeScan *scan)
{
	for (int i = 0; i < scan->nleaves; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (scan->counting)
			scan->leaves[i].keys = (LeafKeys){0};
		else
			pick_keys(&scan->lookup, (Page) scan->leaves[i].page.data,
					  &scan->leaves[i].keys);
	}
	look_up_rows(&scan->lookup);

	for (int i = 0; i < scan->nleaves; i++)
	{
		LeafPage *leaf = &scan->leaves[i];
		Page page = (Page) leaf->page.data;
		double values[SAMPLE_VALUES] = {0};
		double variance;
		double live = live_share(&scan->lookup, &leaf->keys, &variance);
		double bytes = btree_build_page(&scan->build, page, live);

		values[KEPT] = bytes * live;
		scan->leaf_mean +=
			(values[KEPT] - scan->leaf_mean) / ++scan->nleaves_read;
		if (values[KEPT] < bytes)
			scan->dead_seen = true;
		values[ROOM] = btree_page_room(page);
		values[FREE] = btree_page_free(page);
		sample_note(scan->part, leaf->block, values, bytes * bytes * variance);
	}
	scan->nleaves = 0;
	forget_keys(&scan->lookup);
}

/*
 * Copies a leaf page, to hold its lock for no longer than the copy takes.
 *
 * The number of internal pages depends on the leaf pages below them.  In a
 * sample they count as average leaf pages: how many of the few that there are
 * come up in it is chance, and their downlinks tell better how many they are.
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
			if (BlockNumberIsValid(scan->right_of_last) &&
				scan->right_of_last != block)
				scan->in_order = false;
			scan->right_of_last = btree_page_next(page);
			if (++scan->nleaves == KEPT_PAGES)
				finish_leaves(scan);
			return;
		case BTREE_INTERNAL:
			scan->inner_bytes += btree_internal_bytes(page, &ntuples);
			scan->inner_tuples += ntuples;
			if (btree_page_above_leaves(page))
			{
				scan->parents++;
				scan->parent_tuples += ntuples;
			}
			if (!scan->full)
			{
				LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
				scan->inner_blocks = lappend_oid(scan->inner_blocks, block);
				return;
			}
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

/*
 * Prepares for the pages of a round.  A round that reads all pages starts
 * over: what earlier rounds read does not count.
 */
static void
begin_round(BTreeScan *scan, const BlockSample *sample, Relation index)
{
	if (sample->rounds > 1 && !sample->full)
		return;
	row_lookup_pages(&scan->lookup, KEPT_PAGES,
					 sample->full ? scan->part->nblocks : 0);
	btree_build_init(&scan->build, index, scan->lookup.deduplicate);
	scan->dead_seen = false;
	scan->full = sample->full;
	scan->in_order = true;
	scan->right_of_last = InvalidBlockNumber;
	scan->leaf_mean = 0;
	scan->nleaves_read = 0;
	scan->inner_bytes = 0;
	scan->inner_tuples = 0;
	scan->parents = 0;
	scan->parent_tuples = 0;
}

/*
 * How many bytes a downlink takes, line pointer included.  If no internal page
 * has been read, the index has few of them, and a guess is good enough.
 */
static double
downlink_bytes(const BTreeScan *scan)
{
	if (scan->inner_tuples == 0)
		return 3 * sizeof(IndexTupleData) + sizeof(ItemIdData);
	return (double) scan->inner_bytes / scan->inner_tuples;
}

/*
 * Adds the internal pages of a round to the sample, now that it is known what
 * leaf pages keep.
 */
static void
finish_inner_pages(BTreeScan *scan)
{
	double values[SAMPLE_VALUES] = {0};
	ListCell *cell;

	values[KEPT] = scan->leaf_mean;
	foreach (cell, scan->inner_blocks)
		sample_note(scan->part, lfirst_oid(cell), values, 0);
	list_free(scan->inner_blocks);
	scan->inner_blocks = NIL;
}

/*
 * Which share of the pages in use is internal pages.  A sample has few of them,
 * or none: then they are taken to be as full as pages that were split are.
 */
static double
inner_share(const BTreeScan *scan)
{
	double downlinks;

	if (scan->full)
		return 0;
	if (scan->parents > 0)
		downlinks = (double) scan->parent_tuples / scan->parents;
	else
		downlinks = 0.7 * BTREE_PAGE_ROOM / downlink_bytes(scan);
	return 1 / Max(downlinks, 2);
}

/*
 * How many leaf pages a rebuild would write.
 */
static double
leaf_pages(const BTreeScan *scan)
{
	/* the build itself does not know of dead rows */
	if (scan->full && !scan->dead_seen)
		return btree_build_pages(&scan->build);
	return ceil(sample_total(scan->part, KEPT) / scan->part->unit *
				(1 - inner_share(scan)));
}

/*
 * How many pages leaf_pages may be off, at 95 %, beyond what the sample
 * explains.  The shares are such that the margins hold in
 * test/bench/bloat_accuracy.sh.
 *
 * Pages that lie in the order of their keys, all of them read, are packed as a
 * rebuild packs them.  Where they do not, rows of a key come apart that a
 * rebuild merges.  Where it is not known which rows are dead, but only how
 * many, so are the lengths of posting lists, and few long ones fit on a page.
 * No dead row among those looked up does not mean that there is none.
 */
static double
pages_uncertain(const BTreeScan *scan, double leaves, double inner)
{
	const RowLookup *lookup = &scan->lookup;
	double bytes = Max(scan->build.bytes, 1);
	double shared = scan->build.shared_bytes / bytes;
	double many = scan->build.many_bytes / bytes;
	bool scattered = !scan->full || !scan->in_order;
	double share = 0;

	if (scattered)
		share += 0.005 + 0.005 * shared;
	if (scan->dead_seen)
		share += 0.005 + 0.015 * shared + 0.02 * many;
	else if (lookup->nprobed > 0 && lookup->nprobed < lookup->npointed)
		share += 3.0 / lookup->nprobed;

	/* the last page, and how many internal pages the downlinks take */
	return leaves * share + (scattered || scan->dead_seen ? 1 : 0) +
		   (inner > 1 ? 1 : 0);
}

/*
 * Reads the pages that a round wants.
 */
static void
read_round(BTreeScan *scan, const BlockSample *sample, Relation index)
{
	begin_round(scan, sample, index);
	read_blocks(index, scan->part->blocks, scan->part->nwanted, scan->strategy,
				note_btree_page, scan);
	finish_leaves(scan);
	finish_inner_pages(scan);
	btree_build_last_key(&scan->build);
	scan->part->unit = btree_build_page_bytes(&scan->build);
}

/*
 * Does the index have an entry for each row of the table?
 */
static bool
index_is_complete(Relation index)
{
	return index->rd_index->indisvalid && index->rd_index->indisready &&
		   heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

/*
 * Computes the number of leaf pages from the number of rows in the table.
 * This needs entries of one size, one for each row: otherwise dead entries may
 * differ in size from live ones.  Returns false, with nothing done, where
 * entries differ in size, or where the margin stays larger than the one asked
 * for.
 */
static bool
count_entries(BTreeScan *scan, BlockSample *sample, Relation index,
			  Relation table, double *leaves, double *inner)
{
	BlockSample before = *sample;
	double total = Max(sample_blocks_total(sample), 1);
	LiveRows rows;

	if (!index_is_complete(index) ||
		!live_rows_begin(
			&rows, table, sample->precision,
			(uint32) (sampler_state_fract(&sample->random) * PG_UINT32_MAX)))
		return false;

	scan->counting = true;
	if (sample_next_round(sample) && !sample->full)
	{
		const BTreeBuild *build = &scan->build;

		read_round(scan, sample, index);
		if (build->smallest_key == build->largest_key &&
			build->shared_bytes <= FEW_SHARED * build->bytes)
		{
			double entries =
				scan->part->unit /
				(double) btree_key_bytes(false, build->largest_key, 1);

			*leaves =
				ceil(live_rows_count(&rows, entries, (int64) total) / entries);
			*inner = btree_build_inner_pages(*leaves, downlink_bytes(scan));
			scan->dead_seen = true;
			sample->model = pages_uncertain(scan, *leaves, *inner) / total;
			sample->sampling = rows.sample.sampling;
			sample->margin = hypot(sample->sampling, sample->model);
			if (sample->sampling <= sampling_margin_to_reach(sample))
				return true;
		}
	}
	scan->counting = false;
	*sample = before;
	return false;
}

/*
 * Returns how many blocks the index would have after a rebuild: leaf pages,
 * internal pages above them, and the meta page.
 */
double
measure_btree(BlockSample *sample, Relation index, Relation table,
			  bool *has_density, double *leaf_density)
{
	BTreeScan scan = {0};
	double leaves = 0;
	double inner = 0;
	double room;

	scan.part = sample_add(sample, index);
	scan.strategy = GetAccessStrategy(BAS_BULKREAD);
	scan.leaves = palloc(sizeof(LeafPage) * KEPT_PAGES);
	row_lookup_init(&scan.lookup, table,
					scan.part->nblocks > 0 && builds_with_posting_lists(index),
					&sample->random);

	if (!count_entries(&scan, sample, index, table, &leaves, &inner))
		while (sample_next_round(sample))
		{
			read_round(&scan, sample, index);
			leaves = leaf_pages(&scan);
			inner = btree_build_inner_pages(leaves, downlink_bytes(&scan));
			sample->model = pages_uncertain(&scan, leaves, inner) /
							Max(sample_blocks_total(sample), 1);
			sample_judge(sample);
		}
	row_lookup_end(&scan.lookup);
	FreeAccessStrategy(scan.strategy);

	room = sample_total(scan.part, ROOM);
	*has_density = room > 0;
	if (room > 0)
		*leaf_density = 1 - sample_total(scan.part, FREE) / room;
	return 1 + leaves + inner;
}
