/*-------------------------------------------------------------------------
 *
 * othertools.c
 *	  Other extensions that rewrite tables, and how they are called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "action/selection.h"
#include "vacuum/othertools.h"

/* number of due tables that a finding names */
#define NAMED_TABLES 5

/*
 * The call of a tool for these tables, by their qualified names.
 */
static char *
describe_calls(bool repack, List *targets)
{
	StringInfoData calls;
	ListCell *cell;

	initStringInfo(&calls);
	if (repack)
		appendStringInfo(&calls, "pg_repack --no-order --dbname=%s",
						 get_database_name(MyDatabaseId));
	foreach (cell, targets)
	{
		char *target = lfirst(cell);

		if (foreach_current_index(cell) == NAMED_TABLES)
		{
			appendStringInfoString(&calls, " ...");
			break;
		}
		if (repack)
			appendStringInfo(&calls,
							 strchr(target, '"') == NULL ? " --table=%s"
														 : " --table='%s'",
							 target);
		else
			appendStringInfo(
				&calls,
				"%sSELECT squeeze.squeeze_table(n.nspname, c.relname) "
				"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
				"WHERE c.oid = %s::regclass",
				calls.len > 0 ? "; " : "", quote_literal_cstr(target));
	}
	return calls.data;
}

/*
 * Where a tool is installed that rewrites tables while they are in use, report
 * how it is called for these tables.  The caller is inside a ledger scope.
 */
void
recommend_tools(PlanContext *context, List *targets)
{
	LedgerQuery query = {0};
	uint64 rows;

	if (targets == NIL)
		return;
	rows =
		ledger_query(&query, "SELECT x.extname FROM pg_catalog.pg_extension x "
							 "WHERE x.extname IN ('pg_repack', 'pg_squeeze')");
	for (uint64 row = 0; row < rows; row++)
	{
		char *tool = ledger_text(row, 1);

		plan_finding(
			context, "F004", "info", NULL,
			psprintf(
				"%d bloated %s can be rewritten without blocking other sessions by %s: %s",
				list_length(targets),
				list_length(targets) == 1 ? "table" : "tables", tool,
				describe_calls(strcmp(tool, "pg_repack") == 0, targets)),
			NULL);
	}
}
