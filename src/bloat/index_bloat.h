/*-------------------------------------------------------------------------
 *
 * index_bloat.h
 *	  How much smaller an index would be after a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_INDEX_BLOAT_H
#define PGMAINT_BLOAT_INDEX_BLOAT_H

#include "utils/rel.h"

typedef struct IndexBloat
{
	Oid indexid;
	Oid relid;
	const char *method;
	int64 total_bytes;
	bool has_bloat;		 /* the next three are known: B-trees only */
	int64 bloat_bytes;	 /* what REINDEX would free */
	double bloat_ratio;	 /* of total_bytes, 0 to 1 */
	double margin;		 /* of bloat_ratio, at 95 % confidence */
	double leaf_density; /* 0 to 1, B-trees only */
	bool has_density;
	int64 sampled_blocks;
	int64 total_blocks;
} IndexBloat;

extern bool index_bloat_can_be_known(Relation index);
extern void measure_index_bloat(Oid indexid, double precision, uint32 seed,
								IndexBloat *result);
extern void measure_open_index(Relation index, Relation table,
							   double precision, uint32 seed,
							   IndexBloat *result);

#endif /* PGMAINT_BLOAT_INDEX_BLOAT_H */
