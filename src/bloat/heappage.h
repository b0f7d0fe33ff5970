/*-------------------------------------------------------------------------
 *
 * heappage.h
 *	  What is on a page of a table, and what of it a rewrite would keep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_HEAPPAGE_H
#define PGMAINT_BLOAT_HEAPPAGE_H

#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

typedef struct HeapPage
{
	int live_bytes;
	int dead_bytes;
	int free_bytes;
	int kept_bytes; /* of what is live, what a rewrite writes again */
} HeapPage;

/* a rewrite of the rows that were shown to it: tuples go to one page after
 * the other */
typedef struct HeapRewrite
{
	Size reserve; /* what fillfactor leaves free */
	Size room;	  /* on the page that is being filled */
	Size used;
	uint64 full_pages;
	uint64 full_bytes; /* tuples and line pointers on these */
} HeapRewrite;

extern void heap_rewrite_init(HeapRewrite *rewrite, Relation rel);
extern double heap_rewrite_page_bytes(const HeapRewrite *rewrite);
extern uint64 heap_rewrite_pages(const HeapRewrite *rewrite);
extern void judge_heap_page(Oid relid, Buffer buffer, TransactionId horizon,
							HeapRewrite *rewrite, HeapPage *result);
extern bool heap_row_is_dead(Oid relid, Buffer buffer, TransactionId horizon,
							 ItemPointer tid);

#endif /* PGMAINT_BLOAT_HEAPPAGE_H */
