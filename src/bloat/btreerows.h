/*-------------------------------------------------------------------------
 *
 * btreerows.h
 *	  Which part of a leaf page a rebuild would leave out as dead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_BTREEROWS_H
#define PGMAINT_BLOAT_BTREEROWS_H

#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#include "base/compat.h"

/* a key of a leaf page that has rows looked up */
typedef struct KeyProbe
{
	Size size;
	int ntids;
	int nrows; /* that are looked up */
	int ndead; /* among these */
	double weight;
} KeyProbe;

/* a row to be looked up, for a key */
typedef struct RowProbe
{
	ItemPointerData tid;
	KeyProbe *key;
} RowProbe;

/* the keys that were picked on one leaf page */
typedef struct LeafKeys
{
	int first; /* in RowLookup.keys */
	int nkeys;
	int ntids; /* that the page points to */
} LeafKeys;

typedef struct RowLookup
{
	Relation table; /* NULL if rows cannot be looked up */
	TransactionId horizon;
	BlockNumber table_blocks;
	Buffer vmbuffer;
	BufferAccessStrategy strategy;
	bool deduplicate;
	SamplerState *random;

	int keys_per_page;
	KeyProbe *keys;
	int nkeys;
	RowProbe *rows;
	int nrows;
	int row; /* the next one to be answered */

	int64 nprobed;	/* rows whose fate is known, of ... */
	int64 npointed; /* ... those that the leaf pages point to */
} RowLookup;

extern void row_lookup_init(RowLookup *lookup, Relation table,
							bool deduplicate, SamplerState *random);
extern void row_lookup_pages(RowLookup *lookup, int npages,
							 BlockNumber full_blocks);
extern void row_lookup_end(RowLookup *lookup);
extern void pick_keys(RowLookup *lookup, Page page, LeafKeys *leaf);
extern void look_up_rows(RowLookup *lookup);
extern double live_share(const RowLookup *lookup, const LeafKeys *leaf,
						 double *variance);
extern void forget_keys(RowLookup *lookup);

#endif /* PGMAINT_BLOAT_BTREEROWS_H */
