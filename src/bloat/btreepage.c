/*-------------------------------------------------------------------------
 *
 * btreepage.c
 *	  What is on a page of a B-tree, and what of it a rebuild would write.
 *
 * The rebuild is modelled after _bt_load and _bt_buildadd: tuples go to one
 * leaf page after the other, and where the index allows deduplication, equal
 * keys share a posting list.  Keys are compared byte by byte, which is what
 * deduplication requires of equal keys anyway; no operator class is called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/itup.h"
#include "storage/bufpage.h"

#include "bloat/btreepage.h"

/* what _bt_load lets a posting list grow to */
#define MAX_POSTING_BYTES \
	(MAXALIGN_DOWN(BLCKSZ * 10 / 100) - sizeof(ItemIdData))

#define BTREE_PAGE_ROOM \
	(BLCKSZ - SizeOfPageHeaderData - MAXALIGN(sizeof(BTPageOpaqueData)))

/* what is free on a new page, with the line pointer of the high key set */
#define BUILD_PAGE_ROOM (BTREE_PAGE_ROOM - sizeof(ItemIdData))

/*
 * Pages that are no B-tree pages at all count as unused: a rebuild does not
 * read them.
 */
BTreePageKind
btree_page_kind(Page page)
{
	BTPageOpaque opaque;

	if (PageIsNew(page) ||
		PageGetSpecialSize(page) != MAXALIGN(sizeof(BTPageOpaqueData)))
		return BTREE_UNUSED;
	opaque = (BTPageOpaque) PageGetSpecialPointer(page);
	if (P_ISMETA(opaque))
		return BTREE_META;
	if (P_IGNORE(opaque))
		return BTREE_UNUSED;
	return P_ISLEAF(opaque) ? BTREE_LEAF : BTREE_INTERNAL;
}

/*
 * What pgstatindex divides free space by to get at leaf density.
 */
Size
btree_page_room(Page page)
{
	return ((PageHeader) page)->pd_special - SizeOfPageHeaderData;
}

Size
btree_page_free(Page page)
{
	return PageGetFreeSpace(page);
}

/*
 * The tuple at this place of a leaf page, or NULL if it is dead or its line
 * pointer cannot be right.
 */
static inline IndexTuple
live_tuple(Page page, OffsetNumber off)
{
	ItemId item = PageGetItemId(page, off);

	if (!ItemIdIsNormal(item) ||
		ItemIdGetLength(item) < sizeof(IndexTupleData) ||
		ItemIdGetOffset(item) < SizeOfPageHeaderData ||
		ItemIdGetOffset(item) + ItemIdGetLength(item) > BLCKSZ)
		return NULL;
	return (IndexTuple) PageGetItem(page, item);
}

static inline OffsetNumber
first_tuple(Page page)
{
	return P_FIRSTDATAKEY((BTPageOpaque) PageGetSpecialPointer(page));
}

/*
 * How many rows the tuple points to.
 */
static inline int
tids_of_tuple(IndexTuple tuple)
{
	int ntids;

	if (!BTreeTupleIsPosting(tuple))
		return 1;
	ntids = BTreeTupleGetNPosting(tuple);

	/* never read past the tuple, whatever it says of itself */
	if (BTreeTupleGetPostingOffset(tuple) + ntids * sizeof(ItemPointerData) >
		IndexTupleSize(tuple))
		return 0;
	return ntids;
}

/*
 * How many rows a leaf page points to, without those that were found to be
 * dead already.
 */
int
btree_count_tids(Page page)
{
	OffsetNumber maxoff = PageGetMaxOffsetNumber(page);
	int ntids = 0;

	for (OffsetNumber off = first_tuple(page); off <= maxoff; off++)
	{
		IndexTuple tuple = live_tuple(page, off);

		if (tuple != NULL)
			ntids += tids_of_tuple(tuple);
	}
	return ntids;
}

/*
 * The rows at these positions, ascending, of all that btree_count_tids found.
 */
void
btree_pick_tids(Page page, const int *positions, int npositions,
				ItemPointerData *tids)
{
	OffsetNumber maxoff = PageGetMaxOffsetNumber(page);
	int picked = 0;
	int seen = 0;

	for (OffsetNumber off = first_tuple(page);
		 off <= maxoff && picked < npositions; off++)
	{
		IndexTuple tuple = live_tuple(page, off);
		int ntids;

		if (tuple == NULL)
			continue;
		ntids = tids_of_tuple(tuple);
		while (picked < npositions && positions[picked] < seen + ntids)
		{
			if (BTreeTupleIsPosting(tuple))
				tids[picked] =
					*BTreeTupleGetPostingN(tuple, positions[picked] - seen);
			else
				tids[picked] = tuple->t_tid;
			picked++;
		}
		seen += ntids;
	}
	for (; picked < npositions; picked++)
		ItemPointerSetInvalid(&tids[picked]);
}

/*
 * The bytes of tuples and line pointers on an internal page.
 */
int
btree_internal_bytes(Page page, int *ntuples)
{
	OffsetNumber maxoff = PageGetMaxOffsetNumber(page);
	int bytes = 0;

	*ntuples = 0;
	for (OffsetNumber off = first_tuple(page); off <= maxoff; off++)
	{
		IndexTuple tuple = live_tuple(page, off);

		if (tuple == NULL)
			continue;
		bytes += MAXALIGN(ItemIdGetLength(PageGetItemId(page, off))) +
				 sizeof(ItemIdData);
		(*ntuples)++;
	}
	return bytes;
}

void
btree_build_init(BTreeBuild *build, Relation index, bool deduplicate)
{
	memset(build, 0, sizeof(BTreeBuild));
	build->deduplicate = deduplicate;
	build->reserve = BTGetTargetPageFreeSpace(index);
	build->room = BUILD_PAGE_ROOM;
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
 * Adds the rows that share a key.  Returns the bytes that they take.
 */
static int
build_add_key(BTreeBuild *build, Size keysize, int ntids)
{
	int room_for_tids = 0;
	int bytes = 0;

	if (build->deduplicate && keysize < MAX_POSTING_BYTES)
		room_for_tids = (MAXALIGN_DOWN(MAX_POSTING_BYTES) - keysize) /
						sizeof(ItemPointerData);
	room_for_tids = Max(room_for_tids, 1);

	while (ntids > 0)
	{
		int here = Min(ntids, room_for_tids);
		Size size = keysize;

		if (here > 1)
			size = MAXALIGN(keysize + here * sizeof(ItemPointerData));
		build_add(build, size, size - keysize);
		bytes += size + sizeof(ItemIdData);
		ntids -= here;
	}
	return bytes;
}

/*
 * Do the tuples hold the same key, up to keysize?
 */
static inline bool
same_key(IndexTuple left, IndexTuple right, Size keysize)
{
	const uint16 flags = INDEX_NULL_MASK | INDEX_VAR_MASK;

	return (left->t_info & flags) == (right->t_info & flags) &&
		   memcmp((char *) left + sizeof(IndexTupleData),
				  (char *) right + sizeof(IndexTupleData),
				  keysize - sizeof(IndexTupleData)) == 0;
}

/*
 * Adds the tuples of a leaf page to the build, and returns the bytes that
 * they take in it.
 *
 * Of the rows that the page points to only a share is live.  Which ones is
 * not known, so they are taken evenly: as many of each key, and of each
 * stretch of the page.  "start", 0 to 1, is where the first one is.
 */
int
btree_build_page(BTreeBuild *build, Page page, double live_share, double start)
{
	OffsetNumber maxoff = PageGetMaxOffsetNumber(page);
	IndexTuple key = NULL;
	Size keysize = 0;
	double due = start;
	int ntids = 0;
	int bytes = 0;

	for (OffsetNumber off = first_tuple(page); off <= maxoff; off++)
	{
		IndexTuple tuple = live_tuple(page, off);
		Size size;
		int live;

		if (tuple == NULL)
			continue;
		size = BTreeTupleIsPosting(tuple) ? BTreeTupleGetPostingOffset(tuple)
										  : IndexTupleSize(tuple);
		size = MAXALIGN(size);
		if (size < sizeof(IndexTupleData) || size > BTREE_PAGE_ROOM)
			continue;

		if (key == NULL || size != keysize || !same_key(key, tuple, size))
		{
			if (key != NULL)
				bytes += build_add_key(build, keysize, ntids);
			key = tuple;
			keysize = size;
			ntids = 0;
		}
		due += tids_of_tuple(tuple) * live_share;
		live = (int) floor(due);
		due -= live;
		ntids += live;
	}
	if (key != NULL)
		bytes += build_add_key(build, keysize, ntids);
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
