/*-------------------------------------------------------------------------
 *
 * task_failure.c
 *	  The text of the ERROR that ended a task.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "action/blockers.h"
#include "base/compat.h"
#include "base/error_text.h"
#include "base/recover.h"
#include "engine/task_failure.h"
#include "ledger/failure.h"

/*
 * The mode of the lock that was not available, as far as the action knows.
 */
static LOCKMODE
awaited_lock(const TaskContext *context)
{
	if (context->awaited != NoLock)
		return context->awaited;
	return context->task->disruptive ? AccessExclusiveLock
									 : ShareUpdateExclusiveLock;
}

/*
 * The sessions that held the lock, if they still do.  The query for them may
 * fail.
 */
char *
text_of_lock_failure(const TaskContext *context)
{
	MemoryContext caller = CurrentMemoryContext;
	char *volatile holders = NULL;

	HOLD_CANCEL_INTERRUPTS();
	PG_TRY();
	{
		LedgerScope scope;

		ledger_begin(&scope, context->extension);
		holders =
			name_lock_holders(context->task->task_id, awaited_lock(context));
		ledger_commit(&scope);
		RESUME_CANCEL_INTERRUPTS();
	}
	PG_CATCH();
	{
		(void) recover_from_error(caller);
	}
	PG_END_TRY();

	return psprintf(
		"no lock within %d ms%s%s", context->lock_timeout,
		holders == NULL ? "; the holder of the lock has ended since" : ": ",
		holders == NULL ? "" : holders);
}

/*
 * The cause of a failure, with the functions in which it was raised, if the
 * ledger can be read.
 */
char *
text_of_failure(const TaskContext *context, const ErrorData *error)
{
	MemoryContext caller = CurrentMemoryContext;
	char *volatile text = NULL;

	HOLD_CANCEL_INTERRUPTS();
	PG_TRY();
	{
		LedgerScope scope;

		ledger_begin(&scope, context->extension);
		text = describe_failure(error);
		ledger_commit(&scope);
		RESUME_CANCEL_INTERRUPTS();
	}
	PG_CATCH();
	{
		(void) recover_from_error(caller);
	}
	PG_END_TRY();
	return text != NULL ? text : error_text(error);
}
