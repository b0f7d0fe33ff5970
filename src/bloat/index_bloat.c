/*-------------------------------------------------------------------------
 *
 * index_bloat.c
 *	  How much smaller an index would be if it were built anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "utils/memutils.h"

#include "bloat/index_bloat.h"
#include "bloat/relations.h"

/*
 * Measures an index that the caller has opened, after its table, and found
 * fit to be measured.
 */
void
measure_open_index(Relation index, Relation table, double precision,
				   uint32 seed, IndexBloat *result)
{
	char *method = get_am_name(index->rd_rel->relam);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint index bloat", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	BlockSample sample;
	double kept;
	double bloat;

	memset(result, 0, sizeof(IndexBloat));
	sample_init(&sample, precision, seed);
	if (index->rd_rel->relam == BTREE_AM_OID)
		kept = measure_btree(&sample, index, table, result);
	else
		kept = measure_free_space(&sample, index);

	result->indexid = RelationGetRelid(index);
	result->relid = RelationGetRelid(table);
	result->method = method;
	result->total_blocks = sample_blocks_total(&sample);
	result->sampled_blocks = sample_blocks_read(&sample);
	result->total_bytes = result->total_blocks * BLCKSZ;

	bloat = Max(result->total_blocks - ceil(kept), 0);
	result->bloat_bytes = (int64) bloat * BLCKSZ;
	result->bloat_ratio =
		result->total_blocks > 0 ? bloat / result->total_blocks : 0;
	result->margin = sample.margin;

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Measures one index, and raises an error if it cannot be judged.
 */
void
measure_index_bloat(Oid indexid, double precision, uint32 seed,
					IndexBloat *result)
{
	Relation table;
	Relation index = open_index_to_measure(indexid, &table);

	measure_open_index(index, table, precision, seed, result);
	relation_close(index, AccessShareLock);
	relation_close(table, AccessShareLock);
}
