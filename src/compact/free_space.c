/*-------------------------------------------------------------------------
 *
 * free_space.c
 *	  The end of a table, hidden from the free space map while its rows are
 *	  moved.
 *
 * Other sessions put new rows where the free space map shows room.  While rows
 * leave the end of a table, the map shows no room there.  Afterwards it must
 * again: VACUUM would not mend it, because it passes pages over whose rows are
 * visible to all transactions.  The map is not part of transactions, so the
 * ledger says first where it is going to be changed; after a crash the next
 * leader sets it right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/recover.h"
#include "compact/free_space.h"
#include "ledger/ledger.h"

/* a transaction works on pages for so long, in milliseconds */
#define AT_ONCE_MS 10

typedef void (*PageWork)(Relation rel, BlockNumber block, Buffer *map);

/*
 * Commit to the ledger that the free space map may show no room from the first
 * page on that rows are moved from.
 */
void
note_hidden_space(Oid extension, const Compaction *compaction)
{
	LedgerScope scope;
	LedgerQuery query = {0};

	ledger_begin(&scope, extension);
	bind_oid(&query, compaction->relation);
	bind_bigint(&query, compaction->floor);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.hidden_space AS h (relation, first_block) VALUES ($1, $2) "
		"ON CONFLICT (relation) DO UPDATE SET first_block = least(h.first_block, excluded.first_block)");
	ledger_commit(&scope);
}

static Relation
open_unless_locked(Oid relation)
{
	Relation rel;

	if (!ConditionalLockRelationOid(relation, RowExclusiveLock))
		return NULL;
	rel = try_relation_open(relation, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relation, RowExclusiveLock);
	return rel;
}

static void
hide_page(Relation rel, BlockNumber block, Buffer *map)
{
	RecordPageWithFreeSpace(rel, block, 0);
}

/*
 * Record the room on one page.
 */
static void
show_page(Relation rel, BlockNumber block, Buffer *map)
{
	Buffer buffer;
	Page page;
	Size room;

	if (GetRecordedFreeSpace(rel, block) > 0)
		return;
	buffer = ReadBuffer(rel, block);
	page = BufferGetPage(buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	room = PageIsNew(page) ? 0 : PageGetHeapFreeSpace(page);
	UnlockReleaseBuffer(buffer);
	RecordPageWithFreeSpace(rel, block, room);
}

/*
 * The same, unless the next VACUUM will look at the page anyway.
 */
static void
show_visible_page(Relation rel, BlockNumber block, Buffer *map)
{
	if (VM_ALL_VISIBLE(rel, block, map))
		show_page(rel, block, map);
}

/*
 * Work on pages for a short time.  Returns the page to continue from.
 */
static BlockNumber
work_for_a_while(Relation rel, PageWork work, BlockNumber from, BlockNumber to)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), AT_ONCE_MS);
	Buffer map = InvalidBuffer;
	BlockNumber block = from;

	while (block < to && (block == from || GetCurrentTimestamp() < until))
	{
		CHECK_FOR_INTERRUPTS();
		work(rel, block++, &map);
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	if (from < block)
		FreeSpaceMapVacuumRange(rel, from, block);
	return block;
}

/*
 * Work on pages in short transactions: a session that waits for a lock on the
 * table gets it between two of them.  Returns false if the table is locked.
 */
static bool
work_on_pages(Oid relation, PageWork work, BlockNumber from, BlockNumber to)
{
	MemoryContext context = CurrentMemoryContext;
	BlockNumber next = from;
	Relation rel;

	do
	{
		StartTransactionCommand();
		rel = open_unless_locked(relation);
		if (rel != NULL)
		{
			to = Min(to, RelationGetNumberOfBlocks(rel));
			if (next < to)
				next = work_for_a_while(rel, work, next, to);
			if (next >= to && work == hide_page)
				forget_cached_target(rel);
			relation_close(rel, NoLock);
		}
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	} while (rel != NULL && next < to);
	return rel != NULL;
}

/*
 * Let the free space map show no room on these pages, and have all sessions
 * forget on which page they last found room.  Returns false if the table is
 * locked.
 */
bool
hide_free_space(Oid relation, BlockNumber from, BlockNumber to)
{
	return work_on_pages(relation, hide_page, from, to);
}

/*
 * Show the room of some pages that are left to other sessions, unless the
 * table is locked.
 */
void
show_free_space_between(Oid relation, BlockNumber from, BlockNumber to)
{
	(void) work_on_pages(relation, show_page, from, to);
}

/*
 * The first page that the ledger says is hidden, or InvalidBlockNumber.
 */
static BlockNumber
first_hidden_page(Oid extension, Oid relation)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	BlockNumber from = InvalidBlockNumber;

	ledger_begin(&scope, extension);
	bind_oid(&query, relation);
	if (ledger_query(
			&query,
			"SELECT h.first_block FROM pgmaint_internal.hidden_space h WHERE h.relation = $1") >
		0)
		from = (BlockNumber) ledger_bigint(0, 1);
	ledger_commit(&scope);
	return from;
}

static void
forget_hidden_space(Oid extension, Oid relation)
{
	LedgerScope scope;
	LedgerQuery query = {0};

	ledger_begin(&scope, extension);
	bind_oid(&query, relation);
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint_internal.hidden_space h WHERE h.relation = $1");
	ledger_commit(&scope);
}

static bool
table_is_there(Oid relation)
{
	MemoryContext context = CurrentMemoryContext;
	bool is_there;

	StartTransactionCommand();
	is_there = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return is_there;
}

/*
 * Show the room of the hidden pages again.  Returns false if the table is
 * locked: the row in the ledger stays for the next leader.
 */
bool
show_free_space(Oid extension, Oid relation)
{
	BlockNumber from = first_hidden_page(extension, relation);

	if (from != InvalidBlockNumber &&
		!work_on_pages(relation, show_visible_page, from,
					   InvalidBlockNumber) &&
		table_is_there(relation))
		return false;
	forget_hidden_space(extension, relation);
	return true;
}

static List *
tables_with_hidden_space(Oid extension)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	List *relations = NIL;
	uint64 rows;

	ledger_begin(&scope, extension);
	rows = ledger_query(
		&query,
		"SELECT h.relation FROM pgmaint_internal.hidden_space h ORDER BY h.relation");
	for (uint64 row = 0; row < rows; row++)
		relations = lappend_oid(relations, ledger_oid(row, 1));
	ledger_commit(&scope);
	return relations;
}

static void
show_free_space_or_report(Oid extension, Oid relation)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		(void) show_free_space(extension, relation);
	}
	PG_CATCH();
	{
		(void) recover_from_error(context);
	}
	PG_END_TRY();
}

/*
 * Show what compactions have left hidden that ended without a chance to do so.
 * No task of this database is running.
 */
void
show_free_space_left(Oid extension)
{
	List *relations = tables_with_hidden_space(extension);
	ListCell *cell;

	foreach (cell, relations)
		show_free_space_or_report(extension, lfirst_oid(cell));
}
