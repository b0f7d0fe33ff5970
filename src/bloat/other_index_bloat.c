/*-------------------------------------------------------------------------
 *
 * other_index_bloat.c
 *	  How much of a GIN, GiST, SP-GiST, hash or BRIN index is free space.
 *
 * What these would take after a rebuild depends on their operator classes
 * and on the order of rows.  So their bloat is what is free on their pages
 * beyond what fillfactor reserves, and the pages that are not in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/brin_page.h"
#include "access/ginblock.h"
#include "access/gist.h"
#include "access/gist_private.h"
#include "access/hash.h"
#include "access/spgist_private.h"
#include "catalog/pg_am.h"
#include "storage/bufpage.h"

#include "bloat/index_bloat.h"
#include "bloat/reader.h"

#define KEPT 0

typedef struct IndexPart
{
	SamplePart *sample;
	Oid method;
} IndexPart;

/*
 * Room for entries on a page, 0 to 1 of which a new index would fill.
 */
static double
share_to_fill(Relation index)
{
	switch (index->rd_rel->relam)
	{
		case GIST_AM_OID:
			if (index->rd_options == NULL)
				return GIST_DEFAULT_FILLFACTOR / 100.0;
			return ((GiSTOptions *) index->rd_options)->fillfactor / 100.0;
		case SPGIST_AM_OID:
			return SpGistGetFillFactor(index) / 100.0;
		case HASH_AM_OID:
			return HashGetFillFactor(index) / 100.0;
		default:
			return 1;
	}
}

static Size
special_size(Oid method)
{
	switch (method)
	{
		case GIST_AM_OID:
			return MAXALIGN(sizeof(GISTPageOpaqueData));
		case GIN_AM_OID:
			return MAXALIGN(sizeof(GinPageOpaqueData));
		case SPGIST_AM_OID:
			return MAXALIGN(sizeof(SpGistPageOpaqueData));
		case HASH_AM_OID:
			return MAXALIGN(sizeof(HashPageOpaqueData));
		default:
			return MAXALIGN(sizeof(BrinSpecialSpace));
	}
}

/*
 * How full the page is: 0 if it is not in use, 1 if there is nothing to gain
 * from it, whatever is free on it.
 */
static double
share_filled(Page page, BlockNumber block, Oid method)
{
	double room = BLCKSZ - SizeOfPageHeaderData - special_size(method);
	double free;

	if (PageIsNew(page))
		return 0;

	/* a page of something else: not ours to judge */
	if (PageGetSpecialSize(page) != special_size(method))
		return 1;

	free = PageGetExactFreeSpace(page);
	switch (method)
	{
		case GIST_AM_OID:
			if (GistPageIsDeleted(page))
				return 0;
			break;
		case GIN_AM_OID:
			if (block == GIN_METAPAGE_BLKNO)
				return 1;
			/* entries that wait in the pending list move to the tree */
			if (GinPageIsDeleted(page) || GinPageIsList(page))
				return 0;
			break;
		case SPGIST_AM_OID:
			if (SpGistPageIsMeta(page))
				return 1;
			if (SpGistPageIsDeleted(page))
				return 0;
			free += SpGistPageGetOpaque(page)->nPlaceholder *
					(SGDTSIZE + sizeof(ItemIdData));
			break;
		case HASH_AM_OID:
			switch (
				((HashPageOpaque) PageGetSpecialPointer(page))->hasho_flag &
				LH_PAGE_TYPE)
			{
				case LH_UNUSED_PAGE:
					return 0;
				case LH_META_PAGE:
				case LH_BITMAP_PAGE:
					return 1;
				default:
					break;
			}
			break;
		default:
			if (!BRIN_IS_REGULAR_PAGE(page))
				return 1;
			break;
	}
	return Max(room - free, 0) / room;
}

static void
note_index_page(Buffer buffer, void *context)
{
	IndexPart *part = context;
	BlockNumber block = BufferGetBlockNumber(buffer);
	double values[SAMPLE_VALUES] = {0};

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	values[KEPT] = share_filled(BufferGetPage(buffer), block, part->method);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	sample_note(part->sample, block, values, 0);
}

/*
 * Returns how many blocks would do for what the index holds now.
 */
double
measure_free_space(BlockSample *sample, Relation index)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	IndexPart part;

	part.sample = sample_add(sample, index);
	part.sample->unit = share_to_fill(index);
	part.method = index->rd_rel->relam;
	while (sample_next_round(sample))
	{
		read_blocks(index, part.sample->blocks, part.sample->nwanted, strategy,
					note_index_page, &part);
		sample_judge(sample);
	}
	FreeAccessStrategy(strategy);
	return sample_total(part.sample, KEPT) / part.sample->unit;
}
