/*-------------------------------------------------------------------------
 *
 * heaprewrite.c
 *	  How a rewrite packs the rows of a table into pages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "bloat/heaprewrite.h"

/*
 * How wrong the space that pages leave unused may be for rows whose neighbours
 * are not those of the rewrite, as a share of that space.  From rows of 2 to
 * 3.6 kB in many orders; see test/bench/bloat_accuracy.sh.
 */
#define ORDER_UNCERTAINTY 0.1

void
heap_rewrite_init(HeapRewrite *rewrite, Relation rel)
{
	memset(rewrite, 0, sizeof(HeapRewrite));
	rewrite->reserve =
		RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);
	rewrite->room = HEAP_PAGE_ROOM;
	rewrite->shortest = BLCKSZ;
}

/*
 * Puts a tuple on the page that is being filled, or on a new one if it would
 * eat into what fillfactor reserves.  The same rule as raw_heap_insert's, so
 * that what wide tuples leave unused at the end of pages is accounted for.
 */
void
heap_rewrite_tuple(HeapRewrite *rewrite, Size length)
{
	Size needed = length + sizeof(ItemIdData);

	if (rewrite->used > 0 && needed + rewrite->reserve > rewrite->room)
	{
		rewrite->full_pages++;
		rewrite->full_bytes += rewrite->used;
		rewrite->room = HEAP_PAGE_ROOM;
		rewrite->used = 0;
	}
	rewrite->room -= Min(needed, rewrite->room);
	rewrite->used += needed;
	rewrite->shortest = Min(rewrite->shortest, length);
	rewrite->longest = Max(rewrite->longest, length);
}

/*
 * How many bytes of tuples and line pointers a page of the rewritten table
 * holds on average.
 */
double
heap_rewrite_page_bytes(const HeapRewrite *rewrite)
{
	Size room = HEAP_PAGE_ROOM - rewrite->reserve;

	/* hardly any live tuples: how they are packed does not matter then */
	if (rewrite->full_pages < 2)
		return Max(Max(room, rewrite->used), 1);
	return (double) rewrite->full_bytes / rewrite->full_pages;
}

uint64
heap_rewrite_pages(const HeapRewrite *rewrite)
{
	return rewrite->full_pages + (rewrite->used > 0 ? 1 : 0);
}

/*
 * How far heap_rewrite_page_bytes may be off, at 95 %, as a share of it, when
 * the rows came in so many stretches that do not follow each other.
 *
 * At the end of a stretch a row meets a neighbour that it will not have, which
 * moves the ends of pages.  Rows of one length are packed alike whatever their
 * order.
 */
double
heap_rewrite_uncertainty(const HeapRewrite *rewrite, double stretches)
{
	double room = HEAP_PAGE_ROOM - rewrite->reserve;
	double pages = Max(rewrite->full_pages, 1);
	double unused;

	if (rewrite->shortest >= rewrite->longest)
		return 0;
	unused = Max(1 - heap_rewrite_page_bytes(rewrite) / room, 0);
	return unused * (ORDER_UNCERTAINTY * Min(stretches / pages, 1) +
					 (stretches > 1 ? 2 / sqrt(pages) : 0));
}
