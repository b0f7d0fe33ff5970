/*-------------------------------------------------------------------------
 *
 * toplevel.c
 *	  Commands that PostgreSQL allows at top level only.
 *
 * VACUUM, REINDEX CONCURRENTLY and CREATE DATABASE commit transactions of their
 * own and refuse to run inside a function or a transaction block, which SPI
 * always is to them.  A background worker can execute them as the server's main
 * loop does: through a portal, like a statement from a client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "base/compat.h"
#include "exec/toplevel.h"

/*
 * Parse and plan exactly one statement into a portal.
 *
 * The parse tree lives in the given context, which must survive the commits
 * that the statement itself makes.
 */
static Portal
open_portal(const char *command, MemoryContext context)
{
	MemoryContext previous = MemoryContextSwitchTo(context);
	List *parsed = pg_parse_query(command);
	RawStmt *statement;
	List *plans;
	Portal portal;
	bool snapshot_set = false;

	if (list_length(parsed) != 1)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("a task's command must be one statement: %s",
							   command)));
	statement = linitial_node(RawStmt, parsed);

	if (analyze_requires_snapshot(statement))
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		snapshot_set = true;
	}
	plans = pg_plan_queries(analyze_and_rewrite(statement, command), command,
							CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot_set)
		PopActiveSnapshot();

	portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, NULL, command, CreateCommandTag(statement->stmt),
					  plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	MemoryContextSwitchTo(previous);
	return portal;
}

/*
 * Execute one command like a statement from a client.  Results are discarded.
 *
 * Must be called outside of a transaction, and leaves none behind.  The caller
 * catches an ERROR: the memory of the command stays until the next call,
 * because the error is reported with its statement.  statement_timeout, which
 * the main loop would arm, is armed here.
 */
void
execute_at_top_level(const char *command)
{
	static MemoryContext context = NULL;
	MemoryContext caller = CurrentMemoryContext;
	DestReceiver *receiver = CreateDestReceiver(DestNone);
	QueryCompletion completion;
	Portal portal;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "pgmaint command",
										ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(context);
	command = MemoryContextStrdup(context, command);

	debug_query_string = command;
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, command);
	StartTransactionCommand();
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);

	portal = open_portal(command, context);
	(void) portal_run(portal, true, receiver, &completion);
	receiver->rDestroy(receiver);
	PortalDrop(portal, false);

	if (StatementTimeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	debug_query_string = NULL;
	MemoryContextSwitchTo(caller);
	(void) pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}
