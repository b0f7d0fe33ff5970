/*-------------------------------------------------------------------------
 *
 * heaprow.h
 *	  The size of a row after a rewrite.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_HEAPROW_H
#define PGMAINT_BLOAT_HEAPROW_H

#include "access/htup.h"
#include "utils/rel.h"

#include "bloat/heaprewrite.h"

/* a column of the row that is being looked at */
typedef struct RowValue
{
	bool present;
	bool aligned;	/* its column's alignment applies */
	bool is_out;	/* in the TOAST table after the rewrite */
	Size size;		/* in the row */
	Size toastable; /* bytes that the TOAST table would hold of it */
} RowValue;

typedef struct RowShape
{
	TupleDesc desc;
	bool has_dropped;	/* columns that a rewrite leaves out */
	bool has_toast;		/* there is a TOAST table */
	bool damaged;		/* not all rows could be taken apart */
	Size target;		/* the size that a longer row is brought down to */
	RowValue *values;	/* of each column */
	HeapRewrite *toast; /* the rewrite of the TOAST table */
} RowShape;

extern void row_shape_init(RowShape *shape, Relation rel, HeapRewrite *toast);
extern Size row_after_rewrite(RowShape *shape, HeapTupleHeader row,
							  Size length, int64 *toast_growth);

#endif /* PGMAINT_BLOAT_HEAPROW_H */
