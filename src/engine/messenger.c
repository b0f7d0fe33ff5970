/*-------------------------------------------------------------------------
 *
 * messenger.c
 *	  The messenger: notifies contacts of alerts while no run does.
 *
 * The messenger is connected as the bootstrap superuser and executes only
 * pgmaint's own SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "engine/launch.h"
#include "notify/followup.h"

PGDLLEXPORT void pgmaint_messenger_main(Datum main_arg);

/* the next messenger is started before that, and continues */
#define SECONDS_FOR_MESSAGES 300

/*
 * Entry point of the background worker.
 */
void
pgmaint_messenger_main(Datum main_arg)
{
	MessengerArguments arguments;
	FollowUp work = {0};

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(arguments.database, InvalidOid,
											  0);
	pin_session_settings();
	pgmaint_clock_offset = arguments.clock_offset;
	MemoryContextSwitchTo(TopMemoryContext);
	work.extension = arguments.extension;
	work.seconds = SECONDS_FOR_MESSAGES;
	follow_up(&work);
	proc_exit(0);
}
