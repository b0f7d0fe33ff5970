/*-------------------------------------------------------------------------
 *
 * move.c
 *	  Moves rows from the end of a table into free space at its front.
 *
 * The room compact: gives space of half-empty tables back while they are in
 * use, by moving rows until VACUUM can cut off the end of the table.
 *
 * Two fingers approach each other: one looks for pages with room from the
 * front on, the other takes the rows of one page after the other from the end.
 * A row is moved by an update with its own values, through the table access
 * method: other sessions see what they see of any update, and a crash leaves
 * nothing to repair.  Its TOAST values stay where they are; no trigger, rule or
 * generated column is executed.  Never delete and insert a row instead: other
 * sessions could not follow it to its new place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "compact/move.h"
#include "compact/room.h"

/* rows of a page, the longest first */
typedef struct PageRows
{
	int count;
	struct
	{
		OffsetNumber offset;
		uint16 length;
	} rows[MaxHeapTuplesPerPage];
} PageRows;

static bool
is_unmovable(const Compaction *compaction, ItemPointer place)
{
	ListCell *cell;

	foreach (cell, compaction->unmovable)
	{
		if (ItemPointerEquals(lfirst(cell), place))
			return true;
	}
	return false;
}

static void
insert_by_length(PageRows *rows, OffsetNumber offset, uint16 length)
{
	int i = rows->count++;

	for (; i > 0 && rows->rows[i - 1].length < length; i--)
		rows->rows[i] = rows->rows[i - 1];
	rows->rows[i].offset = offset;
	rows->rows[i].length = length;
}

/*
 * Was the row added by a transaction that the snapshot does not see?
 */
static bool
is_new(HeapTuple row)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(row->t_data);

	return !HeapTupleHeaderXminInvalid(row->t_data) &&
		   !TransactionIdIsCurrentTransactionId(xmin) &&
		   XidInMVCCSnapshot(xmin, GetActiveSnapshot());
}

/*
 * Find the rows of a page that the snapshot sees; others are counted as
 * passed, unless they are dead already.  The snapshot keeps these rows from
 * being pruned while they are moved.
 */
static void
read_page(Batch *batch, BlockNumber block, PageRows *rows)
{
	Compaction *compaction = batch->compaction;
	Buffer buffer = ReadBuffer(batch->relation, block);
	Page page = BufferGetPage(buffer);
	OffsetNumber last;

	rows->count = 0;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	last = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		ItemId item = PageGetItemId(page, offset);
		HeapTupleData row;

		if (!ItemIdIsNormal(item))
			continue;
		row.t_tableOid = compaction->relation;
		row.t_data = (HeapTupleHeader) PageGetItem(page, item);
		row.t_len = ItemIdGetLength(item);
		ItemPointerSet(&row.t_self, block, offset);
		if (HeapTupleSatisfiesVisibility(&row, GetActiveSnapshot(), buffer))
		{
			/* nothing before this page can be cut off */
			if (is_unmovable(compaction, &row.t_self))
				compaction->stuck = true;
			else
				insert_by_length(rows, offset, (uint16) row.t_len);
		}
		else if (is_new(&row))
			compaction->rows_passed++;
	}
	UnlockReleaseBuffer(buffer);
}

/*
 * Lock a row, unless another session has locked, changed or deleted it.
 */
static bool
lock_row(Batch *batch, ItemPointer place)
{
	TM_FailureData failure;
	TM_Result result =
		table_tuple_lock(batch->relation, place, GetActiveSnapshot(),
						 batch->slot, GetCurrentCommandId(false),
						 LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure);

	return result == TM_Ok;
}

static void
insert_index_entries(Batch *batch, UpdatedIndexes indexes)
{
	List *to_check;

	ResetPerTupleExprContext(batch->estate);
	to_check = insert_entries_of_update(batch->result, batch->slot,
										batch->estate, indexes);
	if (to_check != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a deferred constraint would have to check the row")));
}

/*
 * Move one row.  An update leaves the page only if the new version does not
 * fit on it, so the first row of a page is updated until the page is full.
 * Returns false if the front has no room, or the batch ended before it was
 * found.
 */
static bool
move_row(Batch *batch, ItemPointer place, Size length)
{
	Compaction *compaction = batch->compaction;
	BlockNumber block = ItemPointerGetBlockNumber(place);
	BlockNumber target = find_room(batch, length);

	compaction->current = *place;
	if (target == InvalidBlockNumber)
	{
		compaction->stuck = !batch->time_is_up;
		return false;
	}
	if (!lock_row(batch, place))
	{
		compaction->rows_passed++;
		return true;
	}
	for (;;)
	{
		ItemPointerData old = *place;
		TM_FailureData failure;
		LockTupleMode mode;
		UpdatedIndexes indexes;

		CHECK_FOR_INTERRUPTS();
		RelationSetTargetBlock(batch->relation, target);
		if (update_tuple(batch->relation, &old, batch->slot, &failure, &mode,
						 &indexes) != TM_Ok)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("row (%u,%u) was changed while it was moved",
							block, ItemPointerGetOffsetNumber(place))));
		*place = batch->slot->tts_tid;
		if (indexes != NO_UPDATED_INDEXES)
			insert_index_entries(batch, indexes);
		CommandCounterIncrement();
		if (ItemPointerGetBlockNumber(place) != block)
			break;
		/* the server may have stored long values in another way */
		if (!table_tuple_fetch_row_version(batch->relation, place, SnapshotAny,
										   batch->slot))
			elog(ERROR, "could not read a row that was updated");
	}
	compaction->rows_moved++;
	if (ItemPointerGetBlockNumber(place) >= compaction->tail)
		compaction->stuck = true;
	return !compaction->stuck;
}

/*
 * Move the rows of one page.  Returns false if the batch has to end before all
 * of them were tried.
 */
static bool
empty_page(Batch *batch, BlockNumber block)
{
	Compaction *compaction = batch->compaction;
	int64 passed = compaction->rows_passed;
	PageRows rows;

	read_page(batch, block, &rows);
	if (compaction->stuck)
		return false;
	for (int i = 0; i < rows.count; i++)
	{
		ItemPointerData place;

		ItemPointerSet(&place, block, rows.rows[i].offset);
		if (!move_row(batch, &place, rows.rows[i].length) ||
			(i + 1 < rows.count && time_is_up(batch)))
		{
			/* those of this page are counted again */
			if (!compaction->stuck)
				compaction->rows_passed = passed;
			return false;
		}
	}
	return true;
}

/*
 * Move rows for as long as a batch may take.
 */
BatchEnd
move_rows(Batch *batch)
{
	Compaction *compaction = batch->compaction;

	do
	{
		BlockNumber block;

		if (compaction->stuck || compaction->tail <= compaction->floor)
			return BATCH_DONE;
		block = compaction->tail - 1;
		if (block < compaction->hidden)
			return BATCH_MORE;
		CHECK_FOR_INTERRUPTS();
		if (!empty_page(batch, block))
			return compaction->stuck ? BATCH_DONE : BATCH_MORE;
		compaction->tail = block;
	} while (GetCurrentTimestamp() < batch->page_ends);
	return BATCH_MORE;
}
