/*-------------------------------------------------------------------------
 *
 * cut_off.c
 *	  Cuts off the end of a table that has no rows left.
 *
 * VACUUM does the same, but asks for the exclusive lock only in moments in
 * which no other session has any lock on the table.  A busy table has no such
 * moments, and until VACUUM gives up, new rows are put on the pages that are
 * to go.  Here the lock is waited for, for a time that users hardly notice, and
 * kept no longer than for a few pages at a time.
 *
 * Nothing is taken on trust: each page that goes is looked at under the lock,
 * and has no line pointer in use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/storage.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/recover.h"
#include "base/settings.h"
#include "compact/batch.h"
#include "compact/cut_off.h"
#include "compact/pace.h"

/* other sessions wait for no longer than both of these, in milliseconds */
#define LOCK_WAIT_MS 20
#define LOOK_MS 10

/* pauses between two cuts, and between two tries to get the lock */
#define CUT_PAUSE_MS 20
#define LONGEST_PAUSE_MS 2000

/* pages that are read before the lock is asked for */
#define PAGES_AHEAD 2048

/*
 * Does the page have neither a row nor what one has left for its index
 * entries?
 */
static bool
page_is_unused(Relation relation, BlockNumber block)
{
	Buffer buffer = ReadBuffer(relation, block);
	Page page = BufferGetPage(buffer);
	bool unused = true;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(page))
	{
		OffsetNumber last = PageGetMaxOffsetNumber(page);

		for (OffsetNumber offset = FirstOffsetNumber; offset <= last && unused;
			 offset++)
			unused = !ItemIdIsUsed(PageGetItemId(page, offset));
	}
	UnlockReleaseBuffer(buffer);
	return unused;
}

/*
 * The page from which on all pages are unused, as far as the time allows to
 * look.
 */
static BlockNumber
find_unused_end(Relation relation, BlockNumber end, BlockNumber to)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_MS);

	while (end > to && page_is_unused(relation, end - 1))
	{
		end--;
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= until)
			break;
	}
	return end;
}

/*
 * Get pages and WAL out of the way before other sessions have to wait for that.
 * Returns false if the last page is in use.
 */
static bool
prepare_cut(const Compaction *compaction, BlockNumber to, BlockNumber *pages)
{
	bool unused = false;
	Relation relation;

	StartTransactionCommand();
	set_for_transaction("lock_timeout", psprintf("%d", LOCK_WAIT_MS));
	set_for_transaction("synchronous_commit", "local");
	relation = try_relation_open(compaction->relation, AccessShareLock);
	check_table(compaction, relation);
	*pages = RelationGetNumberOfBlocks(relation);
	if (*pages > to)
	{
		BlockNumber from =
			Max(to, *pages > PAGES_AHEAD ? *pages - PAGES_AHEAD : 0);

		for (BlockNumber block = from; block < *pages; block++)
			(void) PrefetchBuffer(relation, MAIN_FORKNUM, block);
		unused = page_is_unused(relation, *pages - 1);
	}
	relation_close(relation, NoLock);
	/* flushes the WAL of the moves */
	(void) GetTopTransactionId();
	ForceSyncCommit();
	CommitTransactionCommand();
	return unused;
}

/*
 * Cut off unused pages at the end, in a transaction that is as short as
 * possible.
 */
static void
cut_once(const Compaction *compaction, BlockNumber to, BlockNumber *pages)
{
	Relation relation;

	StartTransactionCommand();
	set_for_transaction("lock_timeout", psprintf("%d", LOCK_WAIT_MS));
	set_for_transaction("synchronous_commit", "off");
	LockRelationOid(compaction->relation, AccessExclusiveLock);
	relation = try_relation_open(compaction->relation, NoLock);
	if (relation != NULL &&
		relation->rd_rel->relfilenode == compaction->filenode)
	{
		BlockNumber end;

		*pages = RelationGetNumberOfBlocks(relation);
		end = find_unused_end(relation, *pages, to);
		if (end < *pages)
			RelationTruncate(relation, end);
		*pages = Min(end, *pages);
	}
	if (relation != NULL)
		relation_close(relation, NoLock);
	CommitTransactionCommand();
}

/*
 * Returns false if the lock was not to be had.  unused: whether there was
 * something to cut off.
 */
static bool
try_to_cut(const Compaction *compaction, BlockNumber to, BlockNumber *pages,
		   bool *unused)
{
	MemoryContext caller = CurrentMemoryContext;
	bool volatile locked = true;

	PG_TRY();
	{
		*unused = prepare_cut(compaction, to, pages);
		if (*unused)
			cut_once(compaction, to, pages);
	}
	PG_CATCH();
	{
		ErrorData *error = recover_silently(caller);

		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		locked = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return locked;
}

/*
 * Cut off the pages from this one on; pages gets the number of those that are
 * left.
 */
CutEnd
cut_off_end(const Compaction *compaction, BlockNumber to, int max_wait,
			BlockNumber *pages)
{
	TimestampTz since = GetCurrentTimestamp();
	int pause = CUT_PAUSE_MS;

	*pages = InvalidBlockNumber;
	for (;;)
	{
		bool unused = false;

		if (try_to_cut(compaction, to, pages, &unused))
		{
			if (*pages <= to)
				return CUT_COMPLETE;
			if (!unused)
				return CUT_AT_ROW;
			since = GetCurrentTimestamp();
			pause = CUT_PAUSE_MS;
		}
		else if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
											max_wait))
			return CUT_LOCKED;
		else
			pause = Min(pause * 2, LONGEST_PAUSE_MS);
		sleep_for(pause);
	}
}
