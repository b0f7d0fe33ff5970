/*-------------------------------------------------------------------------
 *
 * recover.c
 *	  Recovery from an ERROR, outside of any transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/portal.h"

#include "base/recover.h"

static ErrorData *
recover(MemoryContext caller, bool report)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(caller);
	error = CopyErrorData();
	if (report)
		EmitErrorReport();
	debug_query_string = NULL;
	AbortCurrentTransaction();
	PortalErrorCleanup();
	FlushErrorState();
	MemoryContextSwitchTo(caller);
	RESUME_INTERRUPTS();
	return error;
}

ErrorData *
recover_from_error(MemoryContext caller)
{
	return recover(caller, true);
}

ErrorData *
recover_silently(MemoryContext caller)
{
	return recover(caller, false);
}
