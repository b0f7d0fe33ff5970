/*-------------------------------------------------------------------------
 *
 * batch.c
 *	  One transaction that moves rows.
 *
 * It is short, because users wait for its row locks.  It is SERIALIZABLE: the
 * predicate locks of other transactions do not follow a row to its new place,
 * so that the server could not detect a write skew between two of them if the
 * batch were not known to it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
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
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/error_text.h"
#include "base/recover.h"
#include "base/rights.h"
#include "base/settings.h"
#include "base/subtransaction.h"
#include "compact/batch.h"
#include "compact/move.h"

/*
 * Users wait for the row locks of a batch: it ends after the page during which
 * the first time passes, or after the row during which the second one does.
 */
#define BATCH_MS 10
#define LONGEST_BATCH_MS 20

/* rows that cannot be moved, before the table is given up */
#define MAX_UNMOVABLE 100

/* batches that fail at the same row, before it counts as one of these */
#define MAX_CONFLICTS 5

/*
 * VACUUM may have made room since the last round.
 */
void
begin_round(Compaction *compaction)
{
	memset(compaction->fingers, 0, sizeof(compaction->fingers));
	compaction->stuck = false;
}

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
 * Is this still the table of the compaction, and may the run's role maintain
 * it?  NULL: it was dropped.
 */
void
check_table(const Compaction *compaction, Relation relation)
{
	if (relation == NULL ||
		relation->rd_rel->relfilenode != compaction->filenode)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "the table was dropped or rewritten while its rows were moved")));
	if (!may_maintain_relation(compaction->relation, GetUserId()))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for table %s",
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
	check_table(compaction, relation);
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
	batch->page_ends =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), BATCH_MS);
	batch->row_ends =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LONGEST_BATCH_MS);
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
 * VACUUM of another session may have cut off the end since the last batch.
 */
static void
heed_truncation(Compaction *compaction, Relation relation)
{
	BlockNumber pages = RelationGetNumberOfBlocks(relation);

	compaction->tail = Min(compaction->tail, pages);
	compaction->hidden = Min(compaction->hidden, pages);
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
	set_for_transaction("synchronous_commit", "off");
	/* a wait ends before the server looks for deadlocks, to cancel a session */
	set_for_transaction(
		"lock_timeout",
		psprintf("%d", Max(Min(DeadlockTimeout / 2, LONGEST_BATCH_MS), 1)));
	PushActiveSnapshot(GetTransactionSnapshot());
	relation = open_table(compaction);
	if (relation != NULL)
	{
		SavedRights caller;
		Batch batch = {0};

		if (compaction->end == 0)
		{
			compaction->end = RelationGetNumberOfBlocks(relation);
			compaction->tail = compaction->end;
			compaction->hidden = compaction->end;
		}
		else
			heed_truncation(compaction, relation);
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
 * Another session is the reason, and may be gone at the next try?  Code of the
 * table's owner can raise the same errors, time and again.
 */
static bool
is_transient(Compaction *compaction, const ErrorData *error, ItemPointer row)
{
	if (compaction->conflicts > 0 &&
		ItemPointerEquals(&compaction->conflict, row))
		compaction->conflicts++;
	else
		compaction->conflicts = 1;
	compaction->conflict = *row;
	return compaction->conflicts <= MAX_CONFLICTS &&
		   (error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
			error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
			error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
}

/*
 * Is the server the reason, and no row?
 */
static bool
is_of_server(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
		default:
			return false;
	}
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
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE &&
			!ItemPointerIsValid(&current))
			end = BATCH_LOCKED;
		else if (asks_to_stop(error) || !ItemPointerIsValid(&current) ||
				 is_of_server(error) ||
				 list_length(compaction->unmovable) >= MAX_UNMOVABLE)
			ReThrowError(error);
		else if (!is_transient(compaction, error, &current))
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
