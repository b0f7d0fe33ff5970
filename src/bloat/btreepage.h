/*-------------------------------------------------------------------------
 *
 * btreepage.h
 *	  What is on a page of a B-tree, and what of it a rebuild would write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_BTREEPAGE_H
#define PGMAINT_BLOAT_BTREEPAGE_H

#include "access/nbtree.h"
#include "utils/rel.h"

/* a key with so many rows takes up room in proportion to their number */
#define BTREE_MANY_ROWS 32

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

/* a build of the leaf pages that were shown to it, in this order */
typedef struct BTreeBuild
{
	bool deduplicate;
	Size reserve; /* a page with less room than this counts as full */
	Size room;	  /* on the page that is being filled */
	Size used;
	Size last_size;	 /* of the last tuple ... */
	Size last_extra; /* ... and what of it a high key does not need */
	int ntuples;
	uint64 full_pages;
	uint64 full_bytes; /* tuples and line pointers on these */

	/* the last key, whose rows may go on on the next page */
	char *key;
	Size keysize;
	int ntids;
	double due; /* what was lost in rounding */
} BTreeBuild;

extern BTreePageKind btree_page_kind(Page page);
extern Size btree_page_room(Page page);
extern Size btree_page_free(Page page);
extern int btree_count_tids(Page page);
extern void btree_first_key(Page page, BTreeKey *key);
extern bool btree_next_key(Page page, bool deduplicate, BTreeKey *key);
extern bool btree_get_tid(Page page, const BTreeKey *key, int position,
						  ItemPointer tid);
extern int btree_internal_bytes(Page page, int *ntuples);

extern void btree_build_init(BTreeBuild *build, Relation index,
							 bool deduplicate);
extern double btree_build_page_bytes(const BTreeBuild *build);
extern uint64 btree_build_pages(const BTreeBuild *build);
extern double btree_build_inner_pages(double leaf_pages, double tuple_bytes);
extern int btree_key_bytes(bool deduplicate, Size keysize, int ntids);
extern int btree_build_page(BTreeBuild *build, Page page, double live_share);
extern void btree_build_last_key(BTreeBuild *build);

#endif /* PGMAINT_BLOAT_BTREEPAGE_H */
