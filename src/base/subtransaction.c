/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  Work in subtransactions, whose failure does not abort the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/subtransaction.h"

/*
 * Execute work in a subtransaction, which is then committed or, as after an
 * ERROR, rolled back.
 */
static ErrorData *
work_in_subtransaction(void (*work)(void *argument), void *argument, bool keep)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(argument);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Execute work in a subtransaction.  Returns the ERROR that ended it, or
 * NULL.  The caller decides which errors it raises again.
 */
ErrorData *
try_in_subtransaction(void (*work)(void *argument), void *argument)
{
	return work_in_subtransaction(work, argument, true);
}

/*
 * Any function can raise an ERROR with these codes to end the work of other
 * roles, so only an ERROR from the server's own check for interrupts counts.
 */
bool
asks_to_stop(const ErrorData *error)
{
	return (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN) &&
		   error->funcname != NULL &&
		   strcmp(error->funcname, "ProcessInterrupts") == 0;
}

/*
 * Execute work in a subtransaction.  Returns the ERROR that ended it, but
 * raises cancels and shutdowns again.
 */
ErrorData *
try_unless_stopped(void (*work)(void *argument), void *argument)
{
	ErrorData *error = try_in_subtransaction(work, argument);

	if (error != NULL && asks_to_stop(error))
		ReThrowError(error);
	return error;
}

/*
 * The same as try_in_subtransaction(), but all effects of the work on the
 * database, settings, locks and current role are undone, also after success.
 */
ErrorData *
try_and_undo(void (*work)(void *argument), void *argument)
{
	return work_in_subtransaction(work, argument, false);
}
