/*-------------------------------------------------------------------------
 *
 * snapshots.c
 *	  Snapshots that keep VACUUM from removing what rows leave behind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "utils/rel.h"

#include "action/blockers.h"
#include "compact/pace.h"
#include "compact/snapshots.h"

/*
 * The oldest transaction whose snapshots matter to the table.
 */
static TransactionId
oldest_horizon(Oid relation)
{
	MemoryContext context = CurrentMemoryContext;
	TransactionId horizon;
	Relation rel;

	StartTransactionCommand();
	rel = try_relation_open(relation, AccessShareLock);
	if (rel == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the table was dropped during the task")));
	horizon = GetOldestNonRemovableTransactionId(rel);
	relation_close(rel, NoLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return horizon;
}

/*
 * Wait, without a transaction, until no snapshot is older than this
 * transaction.  Returns false after the limit.
 */
bool
wait_for_snapshots(Oid relation, TransactionId transaction, int milliseconds)
{
	TimestampTz began = GetCurrentTimestamp();

	pgstat_report_activity(STATE_RUNNING,
						   "compact: waiting for older snapshots to end");
	while (TransactionIdPrecedes(oldest_horizon(relation), transaction))
	{
		if (TimestampDifferenceExceeds(began, GetCurrentTimestamp(),
									   milliseconds))
			return false;
		sleep_for(SHORT_PAUSE);
	}
	return true;
}

/*
 * The next transaction after one that has ended: snapshots that were taken
 * before are older.
 */
TransactionId
mark_now(void)
{
	MemoryContext context = CurrentMemoryContext;

	StartTransactionCommand();
	(void) GetTopTransactionId();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return ReadNextTransactionId();
}

/*
 * The holder of a snapshot older than this transaction, for people.
 */
char *
name_holder(TaskContext *context, TransactionId transaction, int64 *seconds)
{
	LedgerScope scope;
	char *holder;

	ledger_begin(&scope, context->extension);
	holder = name_xmin_holder(context->task->relation, transaction, seconds);
	ledger_commit(&scope);
	return holder == NULL ? pstrdup("an old snapshot") : holder;
}
