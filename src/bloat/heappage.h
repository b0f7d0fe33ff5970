/*-------------------------------------------------------------------------
 *
 * heappage.h
 *	  Live, dead and free space on a page of a table, and the rows that a
 *	  rewrite would keep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_HEAPPAGE_H
#define PGMAINT_BLOAT_HEAPPAGE_H

#include "storage/bufmgr.h"
#include "storage/itemptr.h"

#include "bloat/heaprow.h"

typedef struct HeapPage
{
	int live_bytes;
	int dead_bytes;
	int free_bytes;
	int kept_bytes;		/* what a rewrite writes of what is live */
	int64 toast_growth; /* what it adds to the TOAST table besides */
} HeapPage;

extern void judge_heap_page(Oid relid, Buffer buffer, TransactionId horizon,
							RowShape *shape, HeapRewrite *rewrite,
							HeapPage *result);
extern bool heap_row_is_dead(Oid relid, Buffer buffer, TransactionId horizon,
							 ItemPointer tid);
extern int heap_count_live_rows(Oid relid, Buffer buffer,
								TransactionId horizon);

#endif /* PGMAINT_BLOAT_HEAPPAGE_H */
