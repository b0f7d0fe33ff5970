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

static inline Size
size_of_key(IndexTuple tuple)
{
	Size size = BTreeTupleIsPosting(tuple) ? BTreeTupleGetPostingOffset(tuple)
										   : IndexTupleSize(tuple);

	size = MAXALIGN(size);
	return size > BTREE_PAGE_ROOM ? 0 : size;
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

		if (tuple != NULL && size_of_key(tuple) >= sizeof(IndexTupleData))
			ntids += tids_of_tuple(tuple);
	}
	return ntids;
}

/*
 * Begins a walk over the keys of a leaf page.
 */
void
btree_first_key(Page page, BTreeKey *key)
{
	memset(key, 0, sizeof(BTreeKey));
	key->next = first_tuple(page);
}

/*
 * Moves on to the next key.  Without deduplication every tuple is one by
 * itself.
 */
bool
btree_next_key(Page page, bool deduplicate, BTreeKey *key)
{
	OffsetNumber maxoff = PageGetMaxOffsetNumber(page);
	IndexTuple first = NULL;

	key->ntids = 0;
	for (; key->next <= maxoff; key->next++)
	{
		IndexTuple tuple = live_tuple(page, key->next);
		Size size = tuple == NULL ? 0 : size_of_key(tuple);

		if (size < sizeof(IndexTupleData))
			continue;
		if (first == NULL)
		{
			first = tuple;
			key->first = key->next;
			key->size = size;
		}
		else if (!deduplicate || size != key->size ||
				 !same_key(first, tuple, size))
			break;
		key->ntids += tids_of_tuple(tuple);
	}
	return first != NULL;
}

/*
 * The row at this position among all that the key's tuples point to.
 */
bool
btree_get_tid(Page page, const BTreeKey *key, int position, ItemPointer tid)
{
	for (OffsetNumber off = key->first; off < key->next; off++)
	{
		IndexTuple tuple = live_tuple(page, off);
		int ntids;

		if (tuple == NULL || size_of_key(tuple) < sizeof(IndexTupleData))
			continue;
		ntids = tids_of_tuple(tuple);
		if (position < ntids)
		{
			*tid = BTreeTupleIsPosting(tuple)
					   ? *BTreeTupleGetPostingN(tuple, position)
					   : tuple->t_tid;
			return ItemPointerIsValid(tid);
		}
		position -= ntids;
	}
	return false;
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
	build->key = palloc(BLCKSZ);
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
int
btree_key_bytes(bool deduplicate, Size keysize, int ntids)
{
	int length = posting_list_length(deduplicate, keysize);
	int bytes = (ntids / length) *
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
int
btree_build_page(BTreeBuild *build, Page page, double live_share)
{
	BTreeKey key;
	int bytes = 0;

	btree_first_key(page, &key);
	while (btree_next_key(page, build->deduplicate, &key))
	{
		IndexTuple tuple =
			(IndexTuple) PageGetItem(page, PageGetItemId(page, key.first));
		int ntids = key.ntids;

		bytes += btree_key_bytes(build->deduplicate, key.size, ntids);
		if (ntids >= BTREE_MANY_ROWS)
		{
			build->due += ntids * live_share;
			ntids = (int) build->due;
			build->due -= ntids;
		}
		if (build->deduplicate && build->ntids > 0 &&
			build->keysize == key.size &&
			same_key((IndexTuple) build->key, tuple, key.size))
		{
			build->ntids += ntids;
			continue;
		}
		btree_build_last_key(build);
		memcpy(build->key, tuple, key.size);
		build->keysize = key.size;
		build->ntids = ntids;
	}
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
