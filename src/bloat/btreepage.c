/*-------------------------------------------------------------------------
 *
 * btreepage.c
 *	  What is on a page of a B-tree.
 *
 * Keys are compared byte by byte, which is what deduplication requires of
 * equal keys anyway; no operator class is called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/itup.h"
#include "storage/bufpage.h"

#include "bloat/btreepage.h"

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
 * The page to the right on the same level, or P_NONE.
 */
BlockNumber
btree_page_next(Page page)
{
	return ((BTPageOpaque) PageGetSpecialPointer(page))->btpo_next;
}

/*
 * Is this an internal page whose downlinks lead to leaf pages, and as full as
 * such pages are?  The rightmost one, which may be the root, is not.
 */
bool
btree_page_above_leaves(Page page)
{
	BTPageOpaque opaque = (BTPageOpaque) PageGetSpecialPointer(page);

	return opaque->btpo_level == 1 && !P_RIGHTMOST(opaque);
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
 * The tuple at this place of a leaf page, or NULL if it is dead, or if its line
 * pointer or the size that it says it has cannot be right: nothing may be read
 * beyond the page.
 */
static inline IndexTuple
live_tuple(Page page, OffsetNumber off)
{
	ItemId item = PageGetItemId(page, off);
	IndexTuple tuple;

	if (!ItemIdIsNormal(item) ||
		ItemIdGetLength(item) < sizeof(IndexTupleData) ||
		ItemIdGetOffset(item) < SizeOfPageHeaderData ||
		ItemIdGetOffset(item) != MAXALIGN(ItemIdGetOffset(item)) ||
		ItemIdGetOffset(item) + ItemIdGetLength(item) > BLCKSZ)
		return NULL;
	tuple = (IndexTuple) PageGetItem(page, item);
	return IndexTupleSize(tuple) > ItemIdGetLength(item) ? NULL : tuple;
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
bool
btree_same_key(IndexTuple left, IndexTuple right, Size keysize)
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

	return size > IndexTupleSize(tuple) ? 0 : MAXALIGN(size);
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
				 !btree_same_key(first, tuple, size))
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
