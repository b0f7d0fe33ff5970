/*-------------------------------------------------------------------------
 *
 * index_bloat.c
 *	  How much smaller an index would be after a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "bloat/btree_bloat.h"
#include "bloat/index_bloat.h"
#include "bloat/relations.h"

/*
 * Whether the bloat of the index can be estimated: that of B-trees only.
 *
 * What GIN, GiST, SP-GiST, hash and BRIN indexes take after a
 * rebuild depends on their operator classes, on the order of rows and, for
 * hash, on powers of two.  They leave room on their pages that a rebuild leaves
 * as well: half of a new GIN index may be free.
 */
bool
index_bloat_can_be_known(Relation index)
{
	return index->rd_rel->relam == BTREE_AM_OID;
}

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

	memset(result, 0, sizeof(IndexBloat));
	result->indexid = RelationGetRelid(index);
	result->relid = RelationGetRelid(table);
	result->method = method;
	if (index_bloat_can_be_known(index))
	{
		BlockSample sample;
		double kept;
		double bloat;

		sample_init(&sample, precision, seed);
		kept = measure_btree(&sample, index, table, &result->has_density,
							 &result->leaf_density);
		bloat = sample_bloat(&sample, ceil(kept), &result->margin);
		result->has_bloat = true;
		result->total_blocks = sample_blocks_total(&sample);
		result->sampled_blocks = sample_blocks_read(&sample);
		result->bloat_bytes = (int64) bloat * BLCKSZ;
		result->bloat_ratio =
			result->total_blocks > 0 ? bloat / result->total_blocks : 0;
	}
	else
		result->total_blocks = RelationGetNumberOfBlocks(index);
	result->total_bytes = result->total_blocks * BLCKSZ;

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Measures one index, and raises an error if it cannot be measured.
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
