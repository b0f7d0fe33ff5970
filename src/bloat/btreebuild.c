/*-------------------------------------------------------------------------
 *
 * btreebuild.c
 *	  How full the pages are that a rebuild of a B-tree writes.
 *
 * This is modelled after _bt_load and _bt_buildadd: tuples go to one leaf
 * page after the other, and where the index allows deduplication, equal keys
 * share a posting list.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "bloat/btreebuild.h"
#include "bloat/btreepage.h"

/* what _bt_load lets a posting list grow to */
#define MAX_POSTING_BYTES \
	(MAXALIGN_DOWN(BLCKSZ * 10 / 100) - sizeof(ItemIdData))

/* what is free on a new page, with the line pointer of the high key set */
#define BUILD_PAGE_ROOM (BTREE_PAGE_ROOM - sizeof(ItemIdData))

void
btree_build_init(BTreeBuild *build, Relation index, bool deduplicate)
{
	memset(build, 0, sizeof(BTreeBuild));
	build->deduplicate = deduplicate;
	build->reserve = BTGetTargetPageFreeSpace(index);
	build->room = BUILD_PAGE_ROOM;
	build->key = palloc(BLCKSZ);
	build->smallest_key = BLCKSZ;
}

/*
 * Adds a tuple.  "extra" is the posting list, which is cut off if the tuple
 * becomes the page's high key.
 *
 * The tuple that ends a page does not stay on it, but is the first of the
 * next page; its key, without what is not needed to tell it from the one
 * before, is the high key.
 */
static void
build_add(BTreeBuild *build, Size size, Size extra)
{
	Size room = build->room - Min(build->room, sizeof(ItemIdData));

	if (build->ntuples > 1 &&
		(room < size + MAXALIGN(sizeof(ItemPointerData)) ||
		 room + build->last_extra < build->reserve))
	{
		build->full_pages++;
		build->full_bytes +=
			build->used - build->last_size - sizeof(ItemIdData);
		build->used = build->last_size + sizeof(ItemIdData);
		build->room = BUILD_PAGE_ROOM - build->used;
		build->ntuples = 1;
	}
	build->used += size + sizeof(ItemIdData);
	build->room -= Min(build->room, size + sizeof(ItemIdData));
	build->last_size = size;
	build->last_extra = extra;
	build->ntuples++;
}

/*
 * How many rows a posting list of this key holds.
 */
static int
posting_list_length(bool deduplicate, Size keysize)
{
	if (!deduplicate || keysize > MAX_POSTING_BYTES)
		return 1;
	return Max((MAXALIGN_DOWN(MAX_POSTING_BYTES) - keysize) /
				   sizeof(ItemPointerData),
			   1);
}

static inline Size
posting_tuple_size(Size keysize, int ntids)
{
	if (ntids == 1)
		return keysize;
	return MAXALIGN(keysize + ntids * sizeof(ItemPointerData));
}

/*
 * The bytes of tuples and line pointers that rows of one key take.
 */
Size
btree_key_bytes(bool deduplicate, Size keysize, int ntids)
{
	int length = posting_list_length(deduplicate, keysize);
	Size bytes = (Size) (ntids / length) *
				 (posting_tuple_size(keysize, length) + sizeof(ItemIdData));

	if (ntids % length > 0)
		bytes +=
			posting_tuple_size(keysize, ntids % length) + sizeof(ItemIdData);
	return bytes;
}

/*
 * Adds the key that the last page ended with, now that all of its rows are
 * known.
 */
void
btree_build_last_key(BTreeBuild *build)
{
	int length = posting_list_length(build->deduplicate, build->keysize);

	for (int left = build->ntids; left > 0; left -= length)
	{
		Size size = posting_tuple_size(build->keysize, Min(left, length));

		build_add(build, size, size - build->keysize);
	}
	build->ntids = 0;
}

/*
 * Adds the tuples of a leaf page to the build, and returns the bytes that
 * they take in it as long as all of their rows are live.
 *
 * Only a share of them is.  For how pages fill up that matters where keys
 * have long posting lists: few of them fit on a page, and so what is left of
 * a key decides over how much of the page is used.
 */
Size
btree_build_page(BTreeBuild *build, Page page, double live_share)
{
	BTreeKey key;
	Size bytes = 0;

	btree_first_key(page, &key);
	while (btree_next_key(page, build->deduplicate, &key))
	{
		IndexTuple tuple =
			(IndexTuple) PageGetItem(page, PageGetItemId(page, key.first));
		int ntids = key.ntids;
		Size key_bytes = btree_key_bytes(build->deduplicate, key.size, ntids);

		bytes += key_bytes;
		build->smallest_key = Min(build->smallest_key, key.size);
		build->largest_key = Max(build->largest_key, key.size);
		build->shared_bytes += ntids > 1 ? key_bytes : 0;
		build->many_bytes += ntids >= BTREE_MANY_ROWS ? key_bytes : 0;
		if (ntids >= BTREE_MANY_ROWS)
		{
			build->due += ntids * live_share;
			ntids = (int) build->due;
			build->due -= ntids;
		}
		if (build->deduplicate && build->ntids > 0 &&
			build->keysize == key.size &&
			btree_same_key((IndexTuple) build->key, tuple, key.size))
		{
			build->ntids += ntids;
			continue;
		}
		btree_build_last_key(build);
		memcpy(build->key, tuple, key.size);
		build->keysize = key.size;
		build->ntids = ntids;
	}
	build->bytes += bytes;
	return bytes;
}

/*
 * How many bytes of tuples and line pointers a leaf page of the rebuilt index
 * holds on average.
 */
double
btree_build_page_bytes(const BTreeBuild *build)
{
	if (build->full_pages < 2)
		return Max(BUILD_PAGE_ROOM - build->reserve, build->used + 1);
	return (double) build->full_bytes / build->full_pages;
}

uint64
btree_build_pages(const BTreeBuild *build)
{
	return build->full_pages + (build->ntuples > 0 ? 1 : 0);
}

/*
 * How many internal pages a rebuild puts above so many leaf pages, when a
 * downlink takes so many bytes.
 */
double
btree_build_inner_pages(double leaf_pages, double tuple_bytes)
{
	double room =
		BUILD_PAGE_ROOM - BLCKSZ * (100 - BTREE_NONLEAF_FILLFACTOR) / 100;
	double fanout = Max(room / Max(tuple_bytes, 1), 2);
	double pages = 0;

	while (leaf_pages > 1)
	{
		leaf_pages = ceil(leaf_pages / fanout);
		pages += leaf_pages;
	}
	return pages;
}
