/*-------------------------------------------------------------------------
 *
 * subtransaction.c
 *	  What may fail without taking the rest with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/subtransaction.h"

/*
 * Work in a subtransaction, which is then kept, or else rolled back as after
 * an ERROR.
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
 * Work in a subtransaction; returns the ERROR that it was rolled back for, or
 * NULL.  Which errors are to be raised again is for the caller to say.
 */
ErrorData *
try_in_subtransaction(void (*work)(void *argument), void *argument)
{
	return work_in_subtransaction(work, argument, true);
}

/*
 * Anybody's function can raise an ERROR with these codes, and would end the work
 * of others if it were believed: only the server's own look for interrupts counts.
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
 * For those to whom any other ERROR is an answer.
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
 * The same as try_in_subtransaction(), but nothing that the work did to the
 * database, to settings, to locks or to whose rights it has stays, whether it
 * ended well or not.
 */
ErrorData *
try_and_undo(void (*work)(void *argument), void *argument)
{
	return work_in_subtransaction(work, argument, false);
}
