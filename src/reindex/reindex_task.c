/*-------------------------------------------------------------------------
 *
 * reindex_task.c
 *	  One task of the action "reindex": rebuild an index, or drop the index
 *	  that an unfinished rebuild has left.
 *
 * REINDEX CONCURRENTLY makes a new index beside the old one, and swaps their
 * names at the end.  It holds no lock that blocks writers, but waits several
 * times for all transactions that could still see the old state.  Those waits
 * are bounded by pgmaint.max_wait, and only the lock on the table, for which
 * other maintenance may have to be waited for, by pgmaint.lock_timeout.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "action/blockers.h"
#include "action/evidence.h"
#include "action/headroom.h"
#include "action/result.h"
#include "exec/toplevel.h"
#include "reindex/rebuilds.h"
#include "reindex/reindex_task.h"

/* a transaction this old is unlikely to end while a task is retried */
#define OLD_TRANSACTION_MS 60000

/* the rebuild that this process carries out */
static struct
{
	const TaskContext *context; /* NULL: none */
	int64 task_id;
	object_access_hook_type next_hook;
	Oid relation;
	Oid copy; /* the new index; InvalidOid before it is made */
	int64 bytes;
} rebuild;

static Oid
tablespace_of(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid tablespace = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		tablespace = ((Form_pg_class) GETSTRUCT(tuple))->reltablespace;
		ReleaseSysCache(tuple);
	}
	return tablespace;
}

/*
 * Is there room for the new index, and no transaction that would stall it?
 */
HoldBack
consider_reindex(TaskContext *context, char **reason, int64 min_free)
{
	const ClaimedTask *task = context->task;
	int64 copy = evidence_number(task, "predicted_bytes", -1);
	LedgerScope scope;
	char *holder;

	if (evidence_flag(task, "leftover"))
		return HOLD_BACK_NOTHING;
	*reason = lack_of_room(
		tablespace_of(task->relation), copy,
		copy > (int64) maintenance_work_mem * 1024 ? copy : 0, min_free);
	if (*reason != NULL)
		return HOLD_BACK_SKIP;
	if (!evidence_flag(task, "concurrently"))
		return HOLD_BACK_NOTHING;

	ledger_enter(&scope);
	holder =
		name_stalling_transaction(IndexGetRelation(task->relation, true),
								  Min(OLD_TRANSACTION_MS, context->max_wait));
	ledger_leave(&scope);
	if (holder == NULL)
		return HOLD_BACK_NOTHING;
	*reason = psprintf("the rebuild would have to wait for %s", holder);
	/* an attempt that has begun knows how long the wait may take */
	return task->attempt > 1 ? HOLD_BACK_RETRY : HOLD_BACK_SKIP;
}

/*
 * Note the new index in the transaction that makes it: either both are there
 * after a crash, or none.
 */
static void
note_copy(ObjectAccessType access, Oid class_id, Oid object, int sub_id,
		  void *argument)
{
	LedgerScope scope;

	if (rebuild.next_hook != NULL)
		rebuild.next_hook(access, class_id, object, sub_id, argument);
	if (rebuild.context == NULL || access != OAT_POST_CREATE ||
		class_id != RelationRelationId || sub_id != 0 ||
		OidIsValid(rebuild.copy))
		return;
	rebuild.copy = object;
	ledger_enter(&scope);
	note_rebuild(rebuild.context->task->task_id,
				 rebuild.context->task->relation, object, rebuild.relation,
				 rebuild.context->task->target, rebuild.bytes);
	ledger_leave(&scope);
}

/*
 * The reason against the task, checked under a lock that no other builder of
 * the index can hold; NULL when there is none.
 */
static const char *
objection(const ClaimedTask *task)
{
	HeapTuple tuple =
		SearchSysCache1(INDEXRELID, ObjectIdGetDatum(task->relation));
	const char *reason = NULL;
	bool valid;

	if (!HeapTupleIsValid(tuple))
		return "the index was dropped after the task had been planned";
	valid = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
	ReleaseSysCache(tuple);
	if (evidence_flag(task, "leftover") || evidence_flag(task, "invalid"))
		reason = valid ? "the index has become valid" : NULL;
	else if (!valid)
		reason =
			"the index has become invalid after the task had been planned";
	return reason;
}

/*
 * Wait for the lock that the command needs, within the limit for waits, and
 * check the index again under it.  A session that builds an index holds such a
 * lock until it ends.
 */
static bool
table_is_free(TaskContext *context)
{
	MemoryContext caller = CurrentMemoryContext;

	StartTransactionCommand();
	rebuild.relation = IndexGetRelation(context->task->relation, true);
	if (OidIsValid(rebuild.relation))
		LockRelationOid(rebuild.relation, ShareUpdateExclusiveLock);
	context->not_done = unconstify(char *, objection(context->task));
	if (context->not_done == NULL)
		rebuild.bytes = DatumGetInt64(DirectFunctionCall1(
			pg_table_size, ObjectIdGetDatum(context->task->relation)));
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return context->not_done == NULL;
}

/*
 * Set the limit of waits for locks and transactions.
 */
static void
set_lock_timeout(int milliseconds)
{
	SetConfigOption("lock_timeout", psprintf("%d", milliseconds), PGC_USERSET,
					PGC_S_SESSION);
}

/*
 * Drop the index that an unfinished attempt has left, and return whether that
 * attempt had swapped the indexes already.
 */
static void
drop_leftover(TaskContext *context)
{
	LedgerScope scope;
	Leftover leftover;

	ledger_begin(&scope, context->extension);
	find_leftover(context->task->relation, &leftover);
	ledger_commit(&scope);
	context->successor = leftover.successor;
	if (leftover.name == NULL)
		return;
	execute_at_top_level(
		psprintf("DROP INDEX CONCURRENTLY %s", leftover.name));
	ledger_begin(&scope, context->extension);
	forget_rebuilds(leftover.relation);
	ledger_commit(&scope);
}

/*
 * Execute the command of the task.
 */
void
perform_reindex(TaskContext *context)
{
	bool concurrently = evidence_flag(context->task, "concurrently");

	memset(&rebuild, 0, sizeof(rebuild));
	rebuild.task_id = context->task->task_id;
	if (context->task->attempt > 1 &&
		!evidence_flag(context->task, "leftover"))
		drop_leftover(context);
	if (!table_is_free(context))
		return;
	if (!concurrently)
	{
		execute_at_top_level(context->task->command);
		return;
	}
	set_lock_timeout(context->max_wait);
	rebuild.next_hook = object_access_hook;
	object_access_hook = note_copy;
	PG_TRY();
	{
		rebuild.context = context;
		execute_at_top_level(context->task->command);
	}
	PG_FINALLY();
	{
		rebuild.context = NULL;
		object_access_hook = rebuild.next_hook;
	}
	PG_END_TRY();
	set_lock_timeout(context->lock_timeout);
	if (!evidence_flag(context->task, "leftover"))
		context->successor = rebuild.copy;
}

/*
 * Record the result of the rebuild and the figures of the index, whose OID may
 * have changed.
 */
void
record_reindex(TaskContext *context)
{
	const ClaimedTask *task = context->task;
	Oid built =
		OidIsValid(context->successor) ? context->successor : task->relation;
	LedgerScope scope;

	if (context->not_done != NULL)
		return;
	ledger_enter(&scope);
	if (!evidence_flag(task, "leftover"))
	{
		finish_rebuild(task->task_id, task->relation, built, rebuild.relation,
					   task->target, rebuild.bytes);
		if (built != task->relation)
			follow_relation(task->relation, built);
	}
	forget_rebuilds(rebuild.relation);
	ledger_leave(&scope);
	if (!evidence_flag(task, "leftover"))
		context->result = psprintf("{\"returned_bytes\": %lld}",
								   (long long) context->returned_bytes);
}

char *
describe_reindex(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;

	initStringInfo(&words);
	add_returned_bytes(&words, result);
	return words.data;
}

/*
 * Explain why an attempt at the rebuild was given up: name the transaction
 * that it waited for.
 */
static void
explain_giving_up(TaskContext *context)
{
	LedgerScope scope;
	char *holder;

	ledger_begin(&scope, context->extension);
	holder = name_stalling_transaction(rebuild.relation,
									   (int64) context->max_wait / 10 * 9);
	ledger_commit(&scope);
	context->gave_up = psprintf(
		"given up after %g s (pgmaint.max_wait) of waiting for %s",
		context->max_wait / 1000.0,
		holder != NULL ? holder : "a transaction that has ended since");
}

/*
 * Drop the index that the attempt has left.  If that fails, the next attempt,
 * or the next run, drops it first.
 */
void
clean_up_reindex(TaskContext *context, const char *sqlstate)
{
	LedgerScope scope;
	Leftover leftover;

	set_lock_timeout(context->lock_timeout);
	if (rebuild.task_id != context->task->task_id || !OidIsValid(rebuild.copy))
		return;
	if (strcmp(sqlstate, "55P03") == 0)
		explain_giving_up(context);

	ledger_begin(&scope, context->extension);
	find_leftover(context->task->relation, &leftover);
	ledger_commit(&scope);
	context->successor = leftover.successor;
	if (leftover.name != NULL)
	{
		context->findings = NIL;
		(void) note_finding(
			&context->findings, "H001", "warning", leftover.name,
			psprintf(
				"%s is left over from an interrupted rebuild of %s; the next run of the action reindex drops it",
				leftover.name, context->task->target));
	}
	drop_leftover(context);
	context->findings = NIL;
}
