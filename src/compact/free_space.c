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

#include "base/compat.h"
#include "base/recover.h"
#include "compact/free_space.h"
#include "ledger/ledger.h"

/* pages that one transaction shows again, at most */
#define PAGES_AT_ONCE 8192

/*
 * Commit to the ledger that the free space map may show no room from this page
 * on.
 */
void
note_hidden_space(Oid extension, Oid relation, BlockNumber from)
{
	LedgerScope scope;
	LedgerQuery query = {0};

	ledger_begin(&scope, extension);
	bind_oid(&query, relation);
	bind_bigint(&query, from);
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

/*
 * Let the free space map show no room on these pages, and have all sessions
 * forget on which page they last found room.  Returns false if the table is
 * locked.
 */
bool
hide_free_space(Oid relation, BlockNumber from, BlockNumber to)
{
	MemoryContext context = CurrentMemoryContext;
	Relation rel;

	StartTransactionCommand();
	rel = open_unless_locked(relation);
	if (rel != NULL)
	{
		to = Min(to, RelationGetNumberOfBlocks(rel));
		for (BlockNumber block = from; block < to; block++)
		{
			CHECK_FOR_INTERRUPTS();
			RecordPageWithFreeSpace(rel, block, 0);
		}
		if (from < to)
			FreeSpaceMapVacuumRange(rel, from, to);
		forget_cached_target(rel);
		relation_close(rel, NoLock);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return rel != NULL;
}

/*
 * Record the room on one page.
 */
static void
show_page(Relation rel, BlockNumber block)
{
	Buffer buffer;
	Page page;

	if (GetRecordedFreeSpace(rel, block) > 0)
		return;
	buffer = ReadBuffer(rel, block);
	page = BufferGetPage(buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	RecordPageWithFreeSpace(rel, block,
							PageIsNew(page) ? 0 : PageGetHeapFreeSpace(page));
	UnlockReleaseBuffer(buffer);
}

/*
 * Show the room on some pages again.  Returns the page to continue from;
 * InvalidBlockNumber at the end of the table, or if it is gone.
 */
static BlockNumber
show_pages(Relation rel, BlockNumber from)
{
	BlockNumber end = RelationGetNumberOfBlocks(rel);
	BlockNumber to = Min(end, from + PAGES_AT_ONCE);
	Buffer map = InvalidBuffer;

	for (BlockNumber block = from; block < to; block++)
	{
		CHECK_FOR_INTERRUPTS();
		/* the next VACUUM will look at other pages anyway */
		if (VM_ALL_VISIBLE(rel, block, &map))
			show_page(rel, block);
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	if (from < to)
		FreeSpaceMapVacuumRange(rel, from, to);
	return to < end ? to : InvalidBlockNumber;
}

/*
 * Show the room of some pages that are left to other sessions, unless the
 * table is locked.
 */
void
show_free_space_between(Oid relation, BlockNumber from, BlockNumber to)
{
	MemoryContext context = CurrentMemoryContext;
	Relation rel;

	StartTransactionCommand();
	rel = open_unless_locked(relation);
	if (rel != NULL)
	{
		to = Min(to, RelationGetNumberOfBlocks(rel));
		for (BlockNumber block = from; block < to; block++)
		{
			CHECK_FOR_INTERRUPTS();
			show_page(rel, block);
		}
		if (from < to)
			FreeSpaceMapVacuumRange(rel, from, to);
		relation_close(rel, NoLock);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
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

/*
 * Show the room of the hidden pages again.  Returns false if the table is
 * locked: the row in the ledger stays for the next leader.
 */
bool
show_free_space(Oid extension, Oid relation)
{
	MemoryContext context = CurrentMemoryContext;
	BlockNumber from = first_hidden_page(extension, relation);
	bool locked = false;

	while (from != InvalidBlockNumber)
	{
		Relation rel;

		StartTransactionCommand();
		rel = open_unless_locked(relation);
		locked = rel == NULL &&
				 SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation));
		from = rel == NULL ? InvalidBlockNumber : show_pages(rel, from);
		if (rel != NULL)
			relation_close(rel, NoLock);
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
	}
	if (!locked)
		forget_hidden_space(extension, relation);
	return !locked;
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
