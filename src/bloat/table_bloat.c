/*-------------------------------------------------------------------------
 *
 * table_bloat.c
 *	  How much smaller a table would be after a rewrite.
 *
 * Bloat is what a rewrite (VACUUM FULL, CLUSTER, pg_repack) would free in the
 * main forks of the table and of its TOAST table: dead rows, and free space
 * beyond what fillfactor reserves and wide tuples cannot use.  The free space
 * map and the visibility map are not counted; they are a few thousandths of
 * the table.
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

/*
 * What is summed up per block, in Stratum.sum.  The first is what the margin is
 * computed of: the bytes that a rewrite writes for the rows of the block, to
 * the TOAST table too where that is more or less than there is now.
 */
#define KEPT 0
#define LIVE 1
#define DEAD 2
#define FREE 3
#define TOAST_GROWTH 4

/* from so many pages on it is clear how a rewrite packs a TOAST table */
#define ENOUGH_PAGES 16

/* one of the two relations that make up a table */
typedef struct TablePart
{
	SamplePart *sample;
	TransactionId horizon;
	HeapRewrite rewrite;
	RowShape
		*shape; /* NULL for the TOAST table, whose rows stay as they are */
} TablePart;

/* a table; its TOAST table is the second part */
typedef struct TableScan
{
	BlockSample sample;
	TablePart parts[2];
	RowShape shape;
	HeapRewrite toast; /* in the order of the table's rows */
} TableScan;

static void
note_heap_page(Buffer buffer, void *context)
{
	TablePart *part = context;
	HeapPage page;
	double values[SAMPLE_VALUES];

	judge_heap_page(RelationGetRelid(part->sample->rel), buffer, part->horizon,
					part->shape, &part->rewrite, &page);
	values[KEPT] = page.kept_bytes + (double) page.toast_growth;
	values[LIVE] = page.live_bytes;
	values[DEAD] = page.dead_bytes;
	values[FREE] = page.free_bytes;
	values[TOAST_GROWTH] = page.toast_growth;
	sample_note(part->sample, BufferGetBlockNumber(buffer), values, 0);
}

static void
add_part(TableScan *scan, Relation rel, RowShape *shape)
{
	TablePart *part = &scan->parts[scan->sample.nparts];

	part->sample = sample_add(&scan->sample, rel);
	part->horizon = GetOldestNonRemovableTransactionId(rel);
	part->shape = shape;
	heap_rewrite_init(&part->rewrite, rel);
}

/*
 * How a rewrite packs the part: the TOAST table in the order of the table's
 * rows, unless hardly any rows with values in it were read.
 */
static const HeapRewrite *
rewrite_of(const TableScan *scan, int part)
{
	if (part == 1 && !scan->shape.damaged &&
		(scan->sample.full || scan->toast.full_pages >= ENOUGH_PAGES))
		return &scan->toast;
	return &scan->parts[part].rewrite;
}

/*
 * How many blocks the part would have after a rewrite.
 */
static double
blocks_kept(const TableScan *scan, int part)
{
	const HeapRewrite *rewrite = rewrite_of(scan, part);
	double growth = sample_total(scan->parts[0].sample, TOAST_GROWTH);
	double bytes = sample_total(scan->parts[part].sample, KEPT);

	if (scan->sample.full)
		return heap_rewrite_pages(rewrite);
	bytes += part == 0 ? -growth : growth;
	return ceil(Max(bytes, 0) / heap_rewrite_page_bytes(rewrite));
}

/*
 * How far off blocks_kept may be, even if the bytes are right, as a share of
 * all blocks.  A rewrite of all rows in order is not modelled but counted.
 */
static double
model_margin(const TableScan *scan)
{
	double squares = 0;

	if (scan->sample.full && !scan->shape.damaged)
		return 0;
	for (int i = 0; i < scan->sample.nparts; i++)
	{
		const HeapRewrite *rewrite = rewrite_of(scan, i);
		int source = rewrite == &scan->toast ? 0 : i;
		double off =
			blocks_kept(scan, i) *
			heap_rewrite_uncertainty(
				rewrite, sample_part_read(scan->parts[source].sample));

		squares += off * off;
	}
	return sqrt(squares) / Max(sample_blocks_total(&scan->sample), 1);
}

static void
sum_up(const TableScan *scan, TableBloat *result)
{
	const BlockSample *sample = &scan->sample;
	double kept = 0;
	double live = 0;
	double dead = 0;
	double bloat;

	for (int i = 0; i < sample->nparts; i++)
	{
		kept += blocks_kept(scan, i);
		live += sample_total(scan->parts[i].sample, LIVE);
		dead += sample_total(scan->parts[i].sample, DEAD);
	}

	result->total_blocks = sample_blocks_total(sample);
	result->sampled_blocks = sample_blocks_read(sample);
	result->total_bytes = result->total_blocks * BLCKSZ;
	result->live_bytes = (int64) rint(live);
	result->dead_bytes = (int64) rint(dead);
	result->free_bytes = 0;
	for (int i = 0; i < sample->nparts; i++)
		result->free_bytes +=
			(int64) rint(sample_total(scan->parts[i].sample, FREE));

	bloat = sample_bloat(sample, kept, &result->margin);
	result->bloat_bytes = (int64) bloat * BLCKSZ;
	result->bloat_ratio =
		result->total_blocks > 0 ? bloat / result->total_blocks : 0;
	result->heap_bytes = (int64) scan->parts[0].sample->nblocks * BLCKSZ;
	result->heap_bloat_bytes =
		Max(result->heap_bytes - (int64) blocks_kept(scan, 0) * BLCKSZ, 0);
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
	TableScan scan = {0};
	Relation toast = NULL;

	sample_init(&scan.sample, precision, seed);
	row_shape_init(&scan.shape, rel, &scan.toast);
	add_part(&scan, rel, &scan.shape);
	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
		add_part(&scan, toast, NULL);
		heap_rewrite_init(&scan.toast, toast);
	}

	while (sample_next_round(&scan.sample))
	{
		if (scan.sample.full && toast != NULL)
			heap_rewrite_init(&scan.toast, toast);
		for (int i = 0; i < scan.sample.nparts; i++)
		{
			TablePart *part = &scan.parts[i];

			if (scan.sample.full)
				heap_rewrite_init(&part->rewrite, part->sample->rel);
			read_blocks(part->sample->rel, part->sample->blocks,
						part->sample->nwanted, strategy, note_heap_page, part);
		}
		for (int i = 0; i < scan.sample.nparts; i++)
			scan.parts[i].sample->unit =
				heap_rewrite_page_bytes(rewrite_of(&scan, i));
		scan.sample.model = model_margin(&scan);
		sample_judge(&scan.sample);
	}

	result->relid = RelationGetRelid(rel);
	sum_up(&scan, result);

	if (toast != NULL)
		table_close(toast, AccessShareLock);
	FreeAccessStrategy(strategy);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/*
 * Measures one table, and raises an error if it cannot be measured.
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
 * The value that total_bytes would have.
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
