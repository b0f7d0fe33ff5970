/*-------------------------------------------------------------------------
 *
 * heaprewrite.h
 *	  How a rewrite packs the rows of a table into pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_HEAPREWRITE_H
#define PGMAINT_BLOAT_HEAPREWRITE_H

#include "storage/bufpage.h"
#include "utils/rel.h"

/* room for tuples and their line pointers on an empty page */
#define HEAP_PAGE_ROOM (BLCKSZ - SizeOfPageHeaderData)

/* a rewrite of the rows that were shown to it: tuples go to one page after
 * the other */
typedef struct HeapRewrite
{
	Size reserve; /* what fillfactor leaves free */
	Size room;	  /* on the page that is being filled */
	Size used;
	Size shortest; /* of the tuples ... */
	Size longest;  /* ... so far */
	uint64 full_pages;
	uint64 full_bytes; /* tuples and line pointers on these */
} HeapRewrite;

extern void heap_rewrite_init(HeapRewrite *rewrite, Relation rel);
extern void heap_rewrite_tuple(HeapRewrite *rewrite, Size length);
extern double heap_rewrite_page_bytes(const HeapRewrite *rewrite);
extern uint64 heap_rewrite_pages(const HeapRewrite *rewrite);
extern double heap_rewrite_uncertainty(const HeapRewrite *rewrite,
									   double stretches);

#endif /* PGMAINT_BLOAT_HEAPREWRITE_H */
