/*-------------------------------------------------------------------------
 *
 * table_bloat.c
 *	  How much smaller a table would be if it were written anew.
 *
 * Bloat is what a rewrite (VACUUM FULL, CLUSTER, pg_repack) would give back
 * of the main forks of the table and of its TOAST table: dead rows, and free
 * space beyond what fillfactor reserves and wide tuples cannot use.  The free
 * space map and the visibility map are not counted; they are a few thousandths
 * of the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "access/table.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#include "bloat/heappage.h"
#include "bloat/relations.h"
#include "bloat/reader.h"
#include "bloat/sample.h"
#include "bloat/table_bloat.h"

/* what is summed up per block, in Stratum.sum */
#define KEPT 0
#define LIVE 1
#define DEAD 2
#define FREE 3

/* one of the two relations that make up a table */
typedef struct TablePart
{
	SamplePart *sample;
	TransactionId horizon;
	HeapRewrite rewrite;
} TablePart;

static void
note_heap_page(Buffer buffer, void *context)
{
	TablePart *part = context;
	HeapPage page;
	double values[SAMPLE_VALUES];

	judge_heap_page(RelationGetRelid(part->sample->rel), buffer, part->horizon,
					&part->rewrite, &page);
	values[KEPT] = page.kept_bytes;
	values[LIVE] = page.live_bytes;
	values[DEAD] = page.dead_bytes;
	values[FREE] = page.free_bytes;
	sample_note(part->sample, BufferGetBlockNumber(buffer), values, 0);
}

static void
add_part(BlockSample *sample, TablePart *part, Relation rel)
{
	part->sample = sample_add(sample, rel);
	part->horizon = GetOldestNonRemovableTransactionId(rel);
	heap_rewrite_init(&part->rewrite, rel);
}

/*
 * How many blocks the part would have after a rewrite.
 */
static double
blocks_kept(const BlockSample *sample, const TablePart *part)
{
	if (sample->full)
		return heap_rewrite_pages(&part->rewrite);
	return ceil(sample_total(part->sample, KEPT) / part->sample->unit);
}

static void
sum_up(const BlockSample *sample, const TablePart *parts, TableBloat *result)
{
	double kept = 0;
	double live = 0;
	double dead = 0;
	double bloat;

	for (int i = 0; i < sample->nparts; i++)
	{
		kept += blocks_kept(sample, &parts[i]);
		live += sample_total(parts[i].sample, LIVE);
		dead += sample_total(parts[i].sample, DEAD);
	}

	result->total_blocks = sample_blocks_total(sample);
	result->sampled_blocks = sample_blocks_read(sample);
	result->total_bytes = result->total_blocks * BLCKSZ;
	result->live_bytes = (int64) rint(live);
	result->dead_bytes = (int64) rint(dead);
	result->free_bytes = 0;
	for (int i = 0; i < sample->nparts; i++)
		result->free_bytes +=
			(int64) rint(sample_total(parts[i].sample, FREE));

	bloat = Max(result->total_blocks - kept, 0);
	result->bloat_bytes = (int64) bloat * BLCKSZ;
	result->bloat_ratio =
		result->total_blocks > 0 ? bloat / result->total_blocks : 0;
	result->margin = sample->margin;
	result->tail_bytes = 0;
}

/*
 * Measures a table that the caller has opened and found fit to be measured.
 */
void
measure_open_table(Relation rel, double precision, uint32 seed,
				   TableBloat *result)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint table bloat", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	BlockSample sample;
	TablePart parts[lengthof(sample.parts)];
	Relation toast = NULL;

	sample_init(&sample, precision, seed);
	add_part(&sample, &parts[0], rel);
	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
		add_part(&sample, &parts[1], toast);
	}

	while (sample_next_round(&sample))
	{
		for (int i = 0; i < sample.nparts; i++)
		{
			SamplePart *part = parts[i].sample;

			if (sample.full)
				heap_rewrite_init(&parts[i].rewrite, part->rel);
			read_blocks(part->rel, part->blocks, part->nwanted, strategy,
						note_heap_page, &parts[i]);
			part->unit = heap_rewrite_page_bytes(&parts[i].rewrite);
		}
		sample_judge(&sample);
	}

	result->relid = RelationGetRelid(rel);
	sum_up(&sample, parts, result);

	if (toast != NULL)
		table_close(toast, AccessShareLock);
	FreeAccessStrategy(strategy);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Measures one table, and raises an error if it cannot be judged.
 */
void
measure_table_bloat(Oid relid, double precision, uint32 seed,
					TableBloat *result)
{
	Relation rel = open_to_measure(relid);

	table_can_be_measured(rel, true);
	measure_open_table(rel, precision, seed, result);
	relation_close(rel, AccessShareLock);
}

/*
 * What total_bytes would be.
 */
int64
table_size(Relation rel)
{
	int64 blocks = RelationGetNumberOfBlocks(rel);

	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation toast =
			table_open(rel->rd_rel->reltoastrelid, AccessShareLock);

		blocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
	}
	return blocks * BLCKSZ;
}
