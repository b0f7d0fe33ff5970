/*-------------------------------------------------------------------------
 *
 * btreepage.h
 *	  What is on a page of a B-tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_BTREEPAGE_H
#define PGMAINT_BLOAT_BTREEPAGE_H

#include "access/itup.h"
#include "access/nbtree.h"
#include "utils/rel.h"

typedef enum BTreePageKind
{
	BTREE_META,
	BTREE_LEAF,
	BTREE_INTERNAL,
	BTREE_UNUSED /* deleted, half-dead, or never used */
} BTreePageKind;

/* the tuples of a leaf page that a rebuild would merge, as long as they fit */
typedef struct BTreeKey
{
	OffsetNumber first; /* the first of the tuples ... */
	OffsetNumber next;	/* ... and what follows the last one */
	Size size;			/* of the key, with the tuple's header */
	int ntids;			/* rows that the tuples point to */
} BTreeKey;

/* room for tuples and their line pointers */
#define BTREE_PAGE_ROOM \
	(BLCKSZ - SizeOfPageHeaderData - MAXALIGN(sizeof(BTPageOpaqueData)))

extern BTreePageKind btree_page_kind(Page page);
extern BlockNumber btree_page_next(Page page);
extern bool btree_page_above_leaves(Page page);
extern Size btree_page_room(Page page);
extern Size btree_page_free(Page page);
extern int btree_count_tids(Page page);
extern void btree_first_key(Page page, BTreeKey *key);
extern bool btree_next_key(Page page, bool deduplicate, BTreeKey *key);
extern bool btree_same_key(IndexTuple left, IndexTuple right, Size keysize);
extern bool btree_get_tid(Page page, const BTreeKey *key, int position,
						  ItemPointer tid);
extern int btree_internal_bytes(Page page, int *ntuples);

#endif /* PGMAINT_BLOAT_BTREEPAGE_H */
