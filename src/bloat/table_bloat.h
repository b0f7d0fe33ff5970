/*-------------------------------------------------------------------------
 *
 * table_bloat.h
 *	  How much smaller a table would be after a rewrite.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_TABLE_BLOAT_H
#define PGMAINT_BLOAT_TABLE_BLOAT_H

#include "utils/rel.h"

typedef struct TableBloat
{
	Oid relid;
	int64 total_bytes; /* of the table and its TOAST table */
	int64 live_bytes;
	int64 dead_bytes;
	int64 free_bytes;
	int64 bloat_bytes;	/* what a rewrite would free */
	double bloat_ratio; /* of total_bytes, 0 to 1 */
	double margin;		/* of bloat_ratio, at 95 % confidence */
	int64 heap_bytes;	/* the same without the TOAST table */
	int64 heap_bloat_bytes;
	int64 tail_bytes; /* that VACUUM could cut off; where it was asked for */
	int64 sampled_blocks;
	int64 total_blocks;
} TableBloat;

extern void measure_table_bloat(Oid relid, double precision, uint32 seed,
								TableBloat *result);
extern void measure_open_table(Relation rel, double precision, uint32 seed,
							   TableBloat *result);
extern int64 table_size(Relation rel);

#endif /* PGMAINT_BLOAT_TABLE_BLOAT_H */
