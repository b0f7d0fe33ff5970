/*-------------------------------------------------------------------------
 *
 * cut_off.h
 *	  Cuts off the end of a table that has no rows left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CUT_OFF_H
#define PGMAINT_CUT_OFF_H

#include "compact/compaction.h"

/* why a table was not cut off as far as it was meant to */
typedef enum CutEnd
{
	CUT_COMPLETE,
	CUT_LOCKED, /* other sessions have a lock on the table all the time */
	CUT_AT_ROW	/* a row, or what one has left, is behind the place */
} CutEnd;

extern CutEnd cut_off_end(const Compaction *compaction, BlockNumber to,
						  int max_wait, BlockNumber *pages);

#endif /* PGMAINT_CUT_OFF_H */
