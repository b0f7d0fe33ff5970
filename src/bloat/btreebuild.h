/*-------------------------------------------------------------------------
 *
 * btreebuild.h
 *	  How full the pages are that a rebuild of a B-tree writes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_BTREEBUILD_H
#define PGMAINT_BLOAT_BTREEBUILD_H

#include "storage/bufpage.h"
#include "utils/rel.h"

/* a key with so many rows takes up room in proportion to their number */
#define BTREE_MANY_ROWS 32

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

	double bytes;		 /* of the leaf pages' keys ... */
	double shared_bytes; /* ... of those of several rows ... */
	double many_bytes;	 /* ... and of those of many */
	Size smallest_key;
	Size largest_key;
} BTreeBuild;

extern void btree_build_init(BTreeBuild *build, Relation index,
							 bool deduplicate);
extern double btree_build_page_bytes(const BTreeBuild *build);
extern uint64 btree_build_pages(const BTreeBuild *build);
extern double btree_build_inner_pages(double leaf_pages, double tuple_bytes);
extern Size btree_key_bytes(bool deduplicate, Size keysize, int ntids);
extern Size btree_build_page(BTreeBuild *build, Page page, double live_share);
extern void btree_build_last_key(BTreeBuild *build);

#endif /* PGMAINT_BLOAT_BTREEBUILD_H */
