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
 * A batch of moves is one short transaction, because users wait for its row
 * locks.  It is SERIALIZABLE: the predicate locks of other transactions do not
 * follow a row to its new place, so that the server could not detect a write
 * skew between two of them if the batch were not known to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/error_text.h"
#include "base/recover.h"
#include "base/rights.h"
#include "base/subtransaction.h"
#include "compact/move.h"

/* users wait for no longer than this for the row locks of a batch */
#define BATCH_MS 10

/*
 * Pages that the fingers leave between them, at least: room for rows of other
 * sessions, which would else be added behind the end that is to be cut off.
 */
#define RESERVED_PAGES 1
#define RESERVED_SHARE 64

/* rows that cannot be moved, before the table is given up */
#define MAX_UNMOVABLE 100

/* what a batch works with, from its begin to its end */
typedef struct Batch
{
	Compaction *compaction;
	Relation relation;
	TupleTableSlot *slot;
	EState *estate;
	ResultRelInfo *result;
	Size reserved; /* of each page, for fillfactor */
	TimestampTz ends;
} Batch;

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

/*
 * Begin at the end of the table, which other sessions may have extended.
 */
void
begin_pass(Compaction *compaction)
{
	compaction->end = 0;
	compaction->rows_passed = 0;
}

/*
 * Settings that end with the transaction.  A wait of this process must end
 * before the server looks for deadlocks, or it could cancel another session
 * to resolve one.
 */
static void
set_for_batch(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * The room that the server looks for to put a row of this length on another
 * page: that of RelationGetBufferForTuple().
 */
static Size
room_needed(const Batch *batch, Size length)
{
	Size nearly_empty =
		MaxHeapTupleSize - (MaxHeapTuplesPerPage / 8 * sizeof(ItemIdData));
	Size wanted = MAXALIGN(length) + batch->reserved;

	return wanted > nearly_empty ? Max(MAXALIGN(length), nearly_empty)
								 : wanted;
}

/*
 * The first page that the front finger may not enter.
 */
static BlockNumber
front_limit(const Compaction *compaction)
{
	BlockNumber reserved = RESERVED_PAGES + compaction->tail / RESERVED_SHARE;

	return compaction->tail > reserved ? compaction->tail - reserved : 0;
}

/*
 * Make the next update that leaves its page use the first page with this much
 * room.  Looks at the pages themselves: the free space map may be out of date,
 * or lost in a crash.
 */
static bool
aim_at_front(Batch *batch, Size needed)
{
	Compaction *compaction = batch->compaction;
	BlockNumber limit = front_limit(compaction);

	while (compaction->front < limit)
	{
		Buffer buffer = ReadBuffer(batch->relation, compaction->front);
		Size room;

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		room = PageIsNew(BufferGetPage(buffer))
				   ? 0
				   : PageGetHeapFreeSpace(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
		if (room >= needed)
		{
			RelationSetTargetBlock(batch->relation, compaction->front);
			return true;
		}
		RecordPageWithFreeSpace(batch->relation, compaction->front, room);
		compaction->front++;
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

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
			if (is_unmovable(compaction, &row.t_self))
				compaction->rows_passed++;
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
insert_index_entries(Batch *batch)
{
	List *to_check;

	ResetPerTupleExprContext(batch->estate);
	to_check =
		insert_entries_of_update(batch->result, batch->slot, batch->estate);
	if (to_check != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a deferred constraint would have to check the row")));
}

/*
 * Move one row.  An update leaves the page only if the new version does not
 * fit on it, so the first row of a page is updated until the page is full.
 * Returns false if the front has no room.
 */
static bool
move_row(Batch *batch, ItemPointer place, Size length)
{
	Compaction *compaction = batch->compaction;
	BlockNumber block = ItemPointerGetBlockNumber(place);
	Size needed = room_needed(batch, length);

	compaction->current = *place;
	if (!aim_at_front(batch, needed))
	{
		compaction->full = true;
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
		if (update_tuple(batch->relation, &old, batch->slot, &failure, &mode,
						 &indexes) != TM_Ok)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("row (%u,%u) was changed while it was moved",
							block, ItemPointerGetOffsetNumber(place))));
		*place = batch->slot->tts_tid;
		if (indexes != NO_UPDATED_INDEXES)
			insert_index_entries(batch);
		CommandCounterIncrement();
		if (ItemPointerGetBlockNumber(place) != block)
			break;
		RelationSetTargetBlock(batch->relation, compaction->front);
	}
	compaction->rows_moved++;
	if (ItemPointerGetBlockNumber(place) >= compaction->tail)
		compaction->full = true;
	return !compaction->full;
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
	for (int i = 0; i < rows.count; i++)
	{
		ItemPointerData place;

		ItemPointerSet(&place, block, rows.rows[i].offset);
		if (!move_row(batch, &place, rows.rows[i].length))
			return false;
		if (i + 1 < rows.count && GetCurrentTimestamp() >= batch->ends)
		{
			compaction->rows_passed = passed;
			return false;
		}
	}
	if (rows.count > 0 && compaction->rows_passed == passed)
		compaction->pages_emptied++;
	return true;
}

/*
 * Move rows for as long as a batch may take.
 */
static BatchEnd
move_rows(Batch *batch)
{
	Compaction *compaction = batch->compaction;

	do
	{
		BlockNumber block;

		if (compaction->full || compaction->tail <= compaction->floor ||
			front_limit(compaction) <= compaction->front)
			return BATCH_DONE;
		block = compaction->tail - 1;
		if (block < compaction->hidden)
			return BATCH_MORE;
		CHECK_FOR_INTERRUPTS();
		if (!empty_page(batch, block))
			return compaction->full ? BATCH_DONE : BATCH_MORE;
		compaction->tail = block;
	} while (GetCurrentTimestamp() < batch->ends);
	return BATCH_MORE;
}

/*
 * Subscribers may not want rows that were merely moved, and cannot find these
 * rows without a replica identity.
 */
static void
check_publications(const Compaction *compaction, Relation relation)
{
	if (SERVER_MOVES_ROWS_SILENTLY || !XLogLogicalInfoActive() ||
		!relation_publishes_updates(relation))
		return;
	if (relation->rd_rel->relreplident != REPLICA_IDENTITY_FULL &&
		!OidIsValid(RelationGetReplicaIndex(relation)))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" is published and has no replica identity",
					RelationGetRelationName(relation))));
	if (!compaction->published)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "table \"%s\" is published: subscribers would be sent each row that is moved",
				 RelationGetRelationName(relation))));
}

/*
 * Open the table if no other session has a conflicting lock, or waits for one:
 * such a session waits for no more than the batch before this one.
 */
static Relation
open_table(Compaction *compaction)
{
	Relation relation;

	if (!ConditionalLockRelationOid(compaction->relation,
									ShareUpdateExclusiveLock))
		return NULL;
	relation = try_relation_open(compaction->relation, NoLock);
	if (relation == NULL ||
		relation->rd_rel->relfilenode != compaction->filenode)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "the table was dropped or rewritten while its rows were moved")));
	check_publications(compaction, relation);
	return relation;
}

/*
 * The range table that the executor expects for the update of a table.
 */
static void
set_range_table(EState *estate, Relation relation)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
	List *permissions = NIL;

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(relation);
	entry->relkind = relation->rd_rel->relkind;
	entry->rellockmode = RowExclusiveLock;
	(void) addRTEPermissionInfo(&permissions, entry);
	init_range_table(estate, list_make1(entry), permissions);
}

static void
open_batch(Batch *batch, Compaction *compaction, Relation relation)
{
	batch->compaction = compaction;
	batch->relation = relation;
	batch->reserved =
		RelationGetTargetPageFreeSpace(relation, HEAP_DEFAULT_FILLFACTOR);
	batch->slot = table_slot_create(relation, NULL);
	batch->estate = CreateExecutorState();
	set_range_table(batch->estate, relation);
	batch->result = makeNode(ResultRelInfo);
	InitResultRelInfo(batch->result, relation, 1, NULL, 0);
	ExecOpenIndices(batch->result, false);
	batch->ends = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BATCH_MS);
}

static void
close_batch(Batch *batch)
{
	ExecDropSingleTupleTableSlot(batch->slot);
	ExecCloseIndices(batch->result);
	FreeExecutorState(batch->estate);
	relation_close(batch->relation, NoLock);
}

/*
 * One batch as a transaction.  Its commit does not wait for the disk: after a
 * crash the rows are where they were.
 */
static BatchEnd
try_batch(Compaction *compaction)
{
	BatchEnd end = BATCH_LOCKED;
	Relation relation;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_SERIALIZABLE;
	set_for_batch("synchronous_commit", "off");
	set_for_batch("lock_timeout", psprintf("%d", Max(DeadlockTimeout / 2, 1)));
	PushActiveSnapshot(GetTransactionSnapshot());
	relation = open_table(compaction);
	if (relation != NULL)
	{
		SavedRights caller;
		Batch batch;

		if (compaction->end == 0)
		{
			compaction->end = RelationGetNumberOfBlocks(relation);
			compaction->tail = compaction->end;
			compaction->hidden = compaction->end;
		}
		assume_table_owner(relation->rd_rel->relowner, &caller);
		open_batch(&batch, compaction, relation);
		end = move_rows(&batch);
		close_batch(&batch);
		resume_caller(&caller);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	compaction->last = ReadNextTransactionId();
	(void) pgstat_report_stat(false);
	return end;
}

/*
 * Another session is the reason, and may be gone at the next try.
 */
static bool
is_transient(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		   error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/*
 * Move rows in one transaction.  After an ERROR that another try would meet
 * again, such as that of an index expression, the row is left where it is.
 */
BatchEnd
move_batch(Compaction *compaction)
{
	MemoryContext caller = CurrentMemoryContext;
	Compaction before = *compaction;
	BatchEnd volatile end = BATCH_FAILED;

	ItemPointerSetInvalid(&compaction->current);
	PG_TRY();
	{
		end = try_batch(compaction);
	}
	PG_CATCH();
	{
		ErrorData *error = recover_silently(caller);
		ItemPointerData current = compaction->current;

		*compaction = before;
		if (asks_to_stop(error) || !ItemPointerIsValid(&current) ||
			list_length(compaction->unmovable) >= MAX_UNMOVABLE)
			ReThrowError(error);
		if (!is_transient(error))
		{
			ItemPointer place = palloc(sizeof(ItemPointerData));

			*place = current;
			compaction->unmovable = lappend(compaction->unmovable, place);
			if (compaction->failure == NULL)
				compaction->failure = message_without_values(error);
		}
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return end;
}
