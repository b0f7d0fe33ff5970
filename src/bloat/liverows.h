/*-------------------------------------------------------------------------
 *
 * liverows.h
 *	  How many rows of a table its indexes have to point to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_LIVEROWS_H
#define PGMAINT_BLOAT_LIVEROWS_H

#include "bloat/sample.h"

typedef struct LiveRows
{
	BlockSample sample;
	SamplePart *part;
	TransactionId horizon;
} LiveRows;

extern bool live_rows_begin(LiveRows *rows, Relation table, double precision,
							uint32 seed);
extern double live_rows_count(LiveRows *rows, double rows_per_block,
							  int64 blocks);

#endif /* PGMAINT_BLOAT_LIVEROWS_H */
