/*-------------------------------------------------------------------------
 *
 * btreerows.c
 *	  Which part of a leaf page a rebuild would leave out as dead.
 *
 * Until VACUUM removes them, entries of dead rows look like any other.  So
 * some of the rows that a leaf page points to are looked up in the table,
 * unless the visibility map says that all rows there are visible.  What a
 * rebuild would write for these, with and without the dead ones, gives the
 * share of the page that is live.
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

#include "bloat/btreebuild.h"
#include "bloat/btreepage.h"
#include "bloat/btreerows.h"
#include "bloat/heappage.h"
#include "bloat/reader.h"
#include "bloat/sample.h"

/* keys that have rows looked up, per leaf page of a sample */
#define KEYS_PER_PAGE 6

/* the same if all pages are read: few pages can have more of them each */
#define KEYS_IN_ALL 16384

/* rows of a key that are looked up, unless it has many: then one will do */
#define ROWS_PER_KEY 4

void
row_lookup_init(RowLookup *lookup, Relation table, bool deduplicate,
				SamplerState *random)
{
	memset(lookup, 0, sizeof(RowLookup));
	lookup->vmbuffer = InvalidBuffer;
	lookup->deduplicate = deduplicate;
	lookup->random = random;
	if (table->rd_rel->relam != HEAP_TABLE_AM_OID)
		return;
	lookup->table = table;
	lookup->strategy = GetAccessStrategy(BAS_BULKREAD);
	lookup->horizon = GetOldestNonRemovableTransactionId(table);
	lookup->table_blocks = RelationGetNumberOfBlocks(table);
}

/*
 * Makes room for the keys of so many leaf pages at a time.  full_blocks is
 * the size of an index that is read as a whole, else zero.
 */
void
row_lookup_pages(RowLookup *lookup, int npages, BlockNumber full_blocks)
{
	int nkeys = KEYS_PER_PAGE;

	if (full_blocks > 0)
		nkeys = Max(nkeys, (int) (KEYS_IN_ALL / full_blocks));
	nkeys = Min(nkeys, MaxTIDsPerBTreePage);

	lookup->keys_per_page = nkeys;
	lookup->keys = palloc(sizeof(KeyProbe) * nkeys * npages);
	lookup->rows = palloc(sizeof(RowProbe) * nkeys * npages * ROWS_PER_KEY);
	lookup->nprobed = 0;
	lookup->npointed = 0;
	forget_keys(lookup);
}

void
row_lookup_end(RowLookup *lookup)
{
	if (BufferIsValid(lookup->vmbuffer))
		ReleaseBuffer(lookup->vmbuffer);
	if (lookup->strategy != NULL)
		FreeAccessStrategy(lookup->strategy);
}

/*
 * Makes the room available again, when what was found has been taken up.
 */
void
forget_keys(RowLookup *lookup)
{
	lookup->nkeys = 0;
	lookup->nrows = 0;
}

static int
compare_rows(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) & ((const RowProbe *) a)->tid,
							  (ItemPointer) & ((const RowProbe *) b)->tid);
}

/*
 * Queues a row for a lookup in the table, unless its state is known already.
 */
static void
probe_row(RowLookup *lookup, KeyProbe *key, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);

	key->nrows++;

	/*
	 * Beyond the end that the table had when the lookup began: a row added
	 * since, hardly dead, or an entry that leads nowhere.
	 */
	if (block >= lookup->table_blocks)
	{
		if (block >= RelationGetNumberOfBlocks(lookup->table))
			key->ndead++;
		return;
	}
	if (visibilitymap_get_status(lookup->table, block, &lookup->vmbuffer) &
		VISIBILITYMAP_ALL_VISIBLE)
		return;
	lookup->rows[lookup->nrows].tid = *tid;
	lookup->rows[lookup->nrows].key = key;
	lookup->nrows++;
}

/*
 * Picks rows of a leaf page at a fixed interval, from a random start.  The
 * keys that these rows belong to are examined.
 */
void
pick_keys(RowLookup *lookup, Page page, LeafKeys *leaf)
{
	int ntids = btree_count_tids(page);
	int wanted = Min(lookup->keys_per_page, ntids);
	double step = (double) ntids / Max(wanted, 1);
	double start = sampler_state_fract(lookup->random);
	BTreeKey key;
	int seen = 0;
	int picked = 0;

	leaf->first = lookup->nkeys;
	leaf->nkeys = 0;
	leaf->ntids = ntids;
	if (lookup->table == NULL)
		return;

	lookup->npointed += ntids;
	btree_first_key(page, &key);
	while (picked < wanted && btree_next_key(page, lookup->deduplicate, &key))
	{
		KeyProbe *probe = &lookup->keys[lookup->nkeys];
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
		if (lookup->deduplicate && key.ntids < BTREE_MANY_ROWS)
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
				probe_row(lookup, probe, &tid);
		}
		lookup->nprobed += probe->nrows;
		lookup->nkeys++;
		leaf->nkeys++;
	}
}

/*
 * Looks up the rows of one block of the table.
 */
static void
probe_table_block(Buffer buffer, void *context)
{
	RowLookup *lookup = context;
	BlockNumber block = BufferGetBlockNumber(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	while (lookup->row < lookup->nrows &&
		   ItemPointerGetBlockNumber(&lookup->rows[lookup->row].tid) == block)
	{
		RowProbe *row = &lookup->rows[lookup->row++];

		if (heap_row_is_dead(RelationGetRelid(lookup->table), buffer,
							 lookup->horizon, &row->tid))
			row->key->ndead++;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

void
look_up_rows(RowLookup *lookup)
{
	BlockNumber *blocks;
	BlockNumber nblocks = 0;

	if (lookup->nrows == 0)
		return;
	qsort(lookup->rows, lookup->nrows, sizeof(RowProbe), compare_rows);

	blocks = palloc(lookup->nrows * sizeof(BlockNumber));
	for (int i = 0; i < lookup->nrows; i++)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&lookup->rows[i].tid);

		if (nblocks == 0 || blocks[nblocks - 1] != block)
			blocks[nblocks++] = block;
	}
	lookup->row = 0;
	read_blocks(lookup->table, blocks, nblocks, lookup->strategy,
				probe_table_block, lookup);
	pfree(blocks);
	lookup->nrows = 0;
}

/*
 * The variance of the share of rows that are live, from what was found of those
 * that were looked up.
 */
static double
variance_of_rows(const RowLookup *lookup, const LeafKeys *leaf)
{
	double rows = 0;
	double dead = 0;

	for (int i = 0; i < leaf->nkeys; i++)
	{
		rows += lookup->keys[leaf->first + i].nrows;
		dead += lookup->keys[leaf->first + i].ndead;
	}
	if (rows < 2 || rows >= leaf->ntids)
		return 0;
	return dead / rows * (1 - dead / rows) / (rows - 1) *
		   (1 - rows / leaf->ntids);
}

/*
 * Of what a rebuild would write for the page if all of its rows were live,
 * the share that it does write.  "variance" is that of the share.
 */
double
live_share(const RowLookup *lookup, const LeafKeys *leaf, double *variance)
{
	double full = 0;
	double live = 0;
	double squares = 0;
	double share = 1;

	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < leaf->nkeys; i++)
		{
			const KeyProbe *key = &lookup->keys[leaf->first + i];
			int nlive = key->ntids;
			double full_bytes;
			double live_bytes;

			if (key->nrows > 0)
				nlive = (int) rint((double) key->ntids *
								   (key->nrows - key->ndead) / key->nrows);
			full_bytes = key->weight * btree_key_bytes(lookup->deduplicate,
													   key->size, key->ntids);
			live_bytes = key->weight * btree_key_bytes(lookup->deduplicate,
													   key->size, nlive);
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

	/* where a page has few keys, the rows tell more than the keys do */
	*variance = variance_of_rows(lookup, leaf);
	if (leaf->nkeys > 1 && full > 0 && lookup->keys_per_page < leaf->ntids)
		*variance =
			Max(*variance,
				squares / (full * full) * leaf->nkeys / (leaf->nkeys - 1) *
					(1 - (double) lookup->keys_per_page / leaf->ntids));
	return share;
}
