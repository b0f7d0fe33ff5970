/*-------------------------------------------------------------------------
 *
 * task.c
 *	  The execution of one task, from its claim to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "action/evidence.h"
#include "base/compat.h"
#include "base/recover.h"
#include "base/subtransaction.h"
#include "engine/disruptive.h"
#include "engine/task.h"
#include "engine/task_failure.h"
#include "exec/toplevel.h"
#include "objects/owners.h"

/*
 * Is the object still the one that the task was planned for?  Takes
 * AccessShareLock until the end of the transaction.
 */
static bool
target_is_there(const ClaimedTask *task, char **reason)
{
	Relation relation = try_relation_open(task->relation, AccessShareLock);
	char *name;

	if (relation == NULL)
	{
		*reason = psprintf("%s was dropped after the task had been planned",
						   task->target);
		return false;
	}
	name = quote_qualified_identifier(
		get_namespace_name(RelationGetNamespace(relation)),
		RelationGetRelationName(relation));
	relation_close(relation, NoLock);
	if (strcmp(name, task->target) == 0)
		return true;
	*reason = psprintf("%s was renamed to %s after the task had been planned",
					   task->target, name);
	return false;
}

/*
 * The size of a table or an index on disk, including TOAST and maps.
 */
static int64
bytes_on_disk(Oid relation)
{
	return DatumGetInt64(
		DirectFunctionCall1(pg_table_size, ObjectIdGetDatum(relation)));
}

/*
 * Check the object before the task begins: whether it exists, and whether the
 * task is still useful.  Returns false if the task has ended here.
 */
static bool
prepare_task(TaskContext *context, Ending *ending)
{
	const ClaimedTask *task = context->task;
	HoldBack hold_back = HOLD_BACK_NOTHING;
	char *reason = NULL;
	MemoryContext previous = CurrentMemoryContext;

	if (context->action->uses_storage)
	{
		char *storage = evidence_text(task, "storage");

		if (storage != NULL)
			declare_ownership(storage, context->run_id, context->extension);
	}
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(previous);
	if ((OidIsValid(task->relation) && !target_is_there(task, &reason)) ||
		!window_has_room(context, &reason))
		hold_back = HOLD_BACK_SKIP;
	else
	{
		/*
		 * a partitioned table has no file; its plan may have the size of its
		 * partitions
		 */
		if (OidIsValid(task->relation) &&
			get_rel_relkind(task->relation) != RELKIND_PARTITIONED_TABLE)
			ending->outcome.bytes_before = bytes_on_disk(task->relation);
		if (context->action->consider != NULL)
			hold_back = context->action->consider(context, &reason);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);

	if (hold_back == HOLD_BACK_NOTHING)
		return true;
	ending->outcome.state = "skipped";
	ending->outcome.error = reason;
	ending->retry = hold_back == HOLD_BACK_RETRY;
	ending->accounted_for = hold_back == HOLD_BACK_LEAVE;
	return false;
}

/*
 * Execute the task as the role of the run.
 */
static void
execute_task(TaskContext *context)
{
	MemoryContext previous = CurrentMemoryContext;

	if (context->action->outside != NULL)
		context->action->outside(context);
	else if (context->action->execute == NULL)
		execute_at_top_level(context->task->command);
	if (context->action->execute == NULL)
		return;
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, context->task->command);
	StartTransactionCommand();
	MemoryContextSwitchTo(previous);
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	context->action->execute(context);
	if (StatementTimeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);
	(void) pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Let the action describe the outcome.  A failure of that must not make a task
 * fail that has succeeded.
 */
static void
describe_outcome(const TaskContext *context, Ending *ending)
{
	MemoryContext caller = CurrentMemoryContext;

	if (context->result == NULL)
		return;
	PG_TRY();
	{
		ending->outcome.description = context->action->describe(
			context->task, DatumGetJsonbP(DirectFunctionCall1(
							   jsonb_in, CStringGetDatum(context->result))));
	}
	PG_CATCH();
	{
		(void) recover_from_error(caller);
	}
	PG_END_TRY();
}

/*
 * Measure the object after the task.
 */
static void
record_task(TaskContext *context, Ending *ending)
{
	MemoryContext previous = CurrentMemoryContext;
	Oid relation = OidIsValid(context->successor) ? context->successor
												  : context->task->relation;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(previous);
	/*
	 * An unknown size must not make a task fail that has succeeded.  A
	 * partitioned table has no file: its zero bytes would look as if all bytes
	 * of its partitions had been freed.
	 */
	if (OidIsValid(relation) &&
		ConditionalLockRelationOid(relation, AccessShareLock) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) &&
		get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		ending->outcome.bytes_after = bytes_on_disk(relation);
	if (ending->outcome.bytes_after >= 0)
		context->returned_bytes =
			Max(ending->outcome.bytes_before - ending->outcome.bytes_after, 0);
	if (context->action->record != NULL)
		context->action->record(context);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(previous);

	ending->outcome.state = "succeeded";
	ending->outcome.result = context->result;
	ending->outcome.shown_as = context->shown_as != NULL
								   ? context->shown_as
								   : context->action->shown_as;
	describe_outcome(context, ending);
	ending->findings = context->findings;
	if (context->not_done != NULL)
	{
		ending->outcome.state = "skipped";
		ending->outcome.error = context->not_done;
	}
	if (context->failure != NULL)
	{
		ending->outcome.state = "failed";
		ending->outcome.error = context->failure;
		ending->outcome.sqlstate =
			pstrdup(unpack_sql_state(context->failure_state));
	}
}

/*
 * A cancel is for the task, not for its cleanup.  But a lock timeout raises
 * the same signal.
 */
static void
cancel_if_timed_out(SIGNAL_ARGS)
{
	if (get_timeout_indicator(LOCK_TIMEOUT, false))
		handle_statement_cancel();
}

/*
 * Let the action clean up after an attempt.  The attempt may turn out to have
 * succeeded.
 */
static void
clean_up_after(TaskContext *context, Ending *ending)
{
	MemoryContext caller = CurrentMemoryContext;

	pqsignal(SIGINT, cancel_if_timed_out);
	QueryCancelPending = false;
	context->error = ending->outcome.error;
	PG_TRY();
	{
		context->action->clean_up(context, ending->outcome.sqlstate);
	}
	PG_CATCH();
	{
		(void) recover_from_error(caller);
	}
	PG_END_TRY();
	PG_TRY();
	{
		if (OidIsValid(context->successor))
			record_task(context, ending);
	}
	PG_CATCH();
	{
		(void) recover_from_error(caller);
	}
	PG_END_TRY();
	QueryCancelPending = false;
	pqsignal(SIGINT, StatementCancelHandler);
	if (strcmp(ending->outcome.state, "succeeded") == 0)
	{
		ending->outcome.sqlstate = NULL;
		ending->outcome.error = NULL;
		ending->retry = false;
	}
	else if (context->gave_up != NULL)
		ending->outcome.error = context->gave_up;
	if (context->retries > 0)
	{
		ending->retry = true;
		ending->retries = context->retries;
		ending->retry_delay = context->retry_delay;
	}
	ending->findings = context->findings;
}

/*
 * Turn an ERROR into the ending of a task.
 */
static void
end_with_error(const TaskContext *context, const ErrorData *error,
			   Ending *ending)
{
	/* the ledger's transaction begins another statement */
	TimestampTz begun = GetCurrentStatementStartTimestamp();

	ending->outcome.sqlstate = pstrdup(unpack_sql_state(error->sqlerrcode));
	ending->outcome.error = text_of_failure(context, error);
	ending->outcome.state = "failed";
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
			ending->outcome.state = "skipped";
			ending->retry = !context->tried_enough;
			if (context->gave_up != NULL)
				ending->outcome.error = context->gave_up;
			break;
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			ending->retry = true;
			break;
		case ERRCODE_QUERY_CANCELED:
			if (!asks_to_stop(error))
				break;
			/* statement_timeout has the same code, but is no cancellation */
			if (window_has_ended(context, &ending->outcome.error,
								 &ending->findings) ||
				StatementTimeout == 0 ||
				!TimestampDifferenceExceeds(begun, GetCurrentTimestamp(),
											StatementTimeout))
				ending->outcome.state = "cancelled";
			break;
		default:
			break;
	}
}

/*
 * Execute a claimed task to its end, whatever error occurs.
 */
void
carry_out_task(TaskContext *context, Ending *ending)
{
	MemoryContext caller = CurrentMemoryContext;

	memset(ending, 0, sizeof(*ending));
	ending->outcome.bytes_before = -1;
	ending->outcome.bytes_after = -1;
	ending->retries = -1;

	PG_TRY();
	{
		if (prepare_task(context, ending))
		{
			begin_to_watch_window(context);
			execute_task(context);
			stop_watching_window();
			record_task(context, ending);
		}
	}
	PG_CATCH();
	{
		ErrorData *error;

		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
		error = recover_from_error(caller);
		pgstat_report_activity(STATE_IDLE, NULL);
		RESUME_INTERRUPTS();
		end_with_error(context, error, ending);
	}
	PG_END_TRY();

	if (ending->outcome.sqlstate != NULL && context->action->clean_up != NULL)
		clean_up_after(context, ending);
	if (ending->retry && ending->outcome.sqlstate != NULL &&
		strcmp(ending->outcome.state, "skipped") == 0 &&
		context->gave_up == NULL)
		ending->outcome.error = text_of_lock_failure(context);
}
