/*-------------------------------------------------------------------------
 *
 * heappage.c
 *	  Live, dead and free space on a page of a table, and the rows that a
 *	  rewrite would keep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "storage/bufpage.h"

#include "bloat/heappage.h"

/*
 * Would VACUUM remove this tuple?  One that some snapshot may still see is
 * not bloat yet.
 */
static inline bool
tuple_is_dead(HeapTuple tuple, TransactionId horizon, Buffer buffer)
{
	uint16 infomask = tuple->t_data->t_infomask;

	/* nearly all tuples, and nothing to look up for them */
	if ((infomask & HEAP_XMIN_COMMITTED) && (infomask & HEAP_XMAX_INVALID) &&
		!(infomask & HEAP_MOVED))
		return false;
	return HeapTupleSatisfiesVacuum(tuple, horizon, buffer) == HEAPTUPLE_DEAD;
}

static inline bool
item_is_sane(ItemId item)
{
	return ItemIdGetLength(item) >= SizeofHeapTupleHeader &&
		   ItemIdGetOffset(item) >= SizeOfPageHeaderData &&
		   ItemIdGetOffset(item) == MAXALIGN(ItemIdGetOffset(item)) &&
		   ItemIdGetOffset(item) + ItemIdGetLength(item) <= BLCKSZ;
}

/*
 * Counts live, dead and free bytes of a page.  Together with the page header
 * they make up the page.  Tuples that a rewrite would keep are shown to it, in
 * the shape that it gives them; as they are if that is NULL.
 *
 * If a line pointer cannot be right, all that seems to be free on the page
 * counts as live: damage must not look like something that can be thrown away.
 */
void
judge_heap_page(Oid relid, Buffer buffer, TransactionId horizon,
				RowShape *shape, HeapRewrite *rewrite, HeapPage *result)
{
	Page page = BufferGetPage(buffer);
	OffsetNumber maxoff;
	bool all_visible;
	bool damaged = false;
	HeapTupleData tuple;
	int live = 0;
	int dead = 0;
	int kept = 0;

	memset(result, 0, sizeof(HeapPage));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);

	if (PageIsNew(page))
	{
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		result->free_bytes = BLCKSZ;
		return;
	}

	/* a page that VACUUM has set all-visible holds no dead rows */
	all_visible = PageIsAllVisible(page);
	maxoff = PageGetMaxOffsetNumber(page);
	tuple.t_tableOid = relid;

	for (OffsetNumber off = FirstOffsetNumber; off <= maxoff; off++)
	{
		ItemId item = PageGetItemId(page, off);
		Size length;
		int taken;

		if (!ItemIdIsUsed(item))
			continue;
		if (ItemIdIsDead(item))
		{
			dead += sizeof(ItemIdData);
			continue;
		}
		if (ItemIdIsRedirected(item))
		{
			live += sizeof(ItemIdData);
			continue;
		}

		if (!item_is_sane(item))
		{
			damaged = true;
			continue;
		}
		length = MAXALIGN(ItemIdGetLength(item));
		taken = (int) (length + sizeof(ItemIdData));
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		if (!all_visible)
		{
			tuple.t_len = ItemIdGetLength(item);
			ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), off);
			if (tuple_is_dead(&tuple, horizon, buffer))
			{
				dead += taken;
				continue;
			}
		}
		live += taken;
		if (shape != NULL)
		{
			int64 growth;

			length = row_after_rewrite(shape, tuple.t_data,
									   ItemIdGetLength(item), &growth);
			result->toast_growth += growth;
		}
		kept += (int) (length + sizeof(ItemIdData));
		heap_rewrite_tuple(rewrite, length);
	}

	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (damaged && live + dead + sizeof(ItemIdData) < HEAP_PAGE_ROOM)
	{
		int rest = HEAP_PAGE_ROOM - live - dead;

		live += rest;
		kept += rest;
		heap_rewrite_tuple(rewrite, rest - sizeof(ItemIdData));
	}

	result->live_bytes = Min(live, HEAP_PAGE_ROOM);
	result->dead_bytes = Min(dead, HEAP_PAGE_ROOM - result->live_bytes);
	result->free_bytes =
		HEAP_PAGE_ROOM - result->live_bytes - result->dead_bytes;
	result->kept_bytes = kept;
}

/*
 * Would VACUUM remove the index entries that point to tid?  VACUUM does when
 * no tuple of the row's HOT chain is left or visible to any session.
 *
 * The chain is followed as heap_hot_search_buffer does.  The buffer must be
 * locked.
 */
bool
heap_row_is_dead(Oid relid, Buffer buffer, TransactionId horizon,
				 ItemPointer tid)
{
	Page page = BufferGetPage(buffer);
	OffsetNumber off = ItemPointerGetOffsetNumber(tid);
	OffsetNumber maxoff;
	TransactionId prior_xmax = InvalidTransactionId;
	bool at_root = true;

	if (PageIsNew(page))
		return true;
	if (PageIsAllVisible(page))
		return false;

	maxoff = PageGetMaxOffsetNumber(page);

	/* a damaged chain may be a ring */
	for (int steps = 0; steps <= maxoff; steps++)
	{
		ItemId item;
		HeapTupleData tuple;

		if (off < FirstOffsetNumber || off > maxoff)
			return true;
		item = PageGetItemId(page, off);
		if (ItemIdIsRedirected(item) && at_root)
		{
			off = ItemIdGetRedirect(item);
			at_root = false;
			continue;
		}
		if (!ItemIdIsNormal(item))
			return true;
		if (!item_is_sane(item))
			return false;

		tuple.t_tableOid = relid;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), off);

		/* the slot was reused by another row */
		if (TransactionIdIsValid(prior_xmax) &&
			!TransactionIdEquals(prior_xmax,
								 HeapTupleHeaderGetXmin(tuple.t_data)))
			return true;

		if (!tuple_is_dead(&tuple, horizon, buffer))
			return false;
		if (!HeapTupleIsHotUpdated(&tuple))
			return true;

		prior_xmax = HeapTupleHeaderGetUpdateXid(tuple.t_data);
		off = ItemPointerGetOffsetNumber(&tuple.t_data->t_ctid);
		at_root = false;
	}
	return true;
}

/*
 * How many rows of the page have an entry in every complete index after VACUUM:
 * one for each HOT chain of which anything is left.
 */
int
heap_count_live_rows(Oid relid, Buffer buffer, TransactionId horizon)
{
	Page page = BufferGetPage(buffer);
	OffsetNumber maxoff;
	int live = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	maxoff = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
	for (OffsetNumber off = FirstOffsetNumber; off <= maxoff; off++)
	{
		ItemId item = PageGetItemId(page, off);
		ItemPointerData tid;

		if (!ItemIdIsRedirected(item) && !ItemIdIsNormal(item))
			continue;
		/* no root of a chain, and no entry points to it */
		if (ItemIdIsNormal(item) && item_is_sane(item) &&
			HeapTupleHeaderIsHeapOnly(
				(HeapTupleHeader) PageGetItem(page, item)))
			continue;
		ItemPointerSet(&tid, BufferGetBlockNumber(buffer), off);
		if (!heap_row_is_dead(relid, buffer, horizon, &tid))
			live++;
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return live;
}
