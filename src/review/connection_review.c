/*-------------------------------------------------------------------------
 *
 * connection_review.c
 *	  The action "connection_review": reviews the use of the server's
 *	  connections, and recommends max_connections.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"

#include "action/result.h"
#include "action/selection.h"
#include "base/wording.h"
#include "exec/toplevel.h"
#include "ledger/connections.h"

static const ActionOption options[] = {
	PLAIN_OPTION(
		"apply", OPTION_BOOLEAN, "false",
		"set max_connections to the recommended value, which takes effect after a restart of the server; a larger value is not set while the server has standbys, which need it first"),
	PLAIN_OPTION(
		"max_idle", OPTION_DURATION, "15 minutes",
		"report sessions that are idle in a transaction for longer than this"),
	END_OF_OPTIONS,
};

/* of pgmaint_internal.connection_limit() and pgmaint_internal.physical_standbys() */
typedef struct ConnectionLimit
{
	int64 current;
	int64 recommended;
	int64 peak;
	char *reason;
	char *standbys; /* NULL if there are none */
} ConnectionLimit;

static void
read_limit(ConnectionLimit *limit)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"SELECT l.current, l.recommended, l.peak, l.reason, "
		"pgmaint_internal.physical_standbys() AS standbys FROM pgmaint_internal.connection_limit() l");
	limit->current = named_bigint(0, "current");
	limit->recommended = named_bigint(0, "recommended");
	limit->peak = named_bigint(0, "peak");
	limit->reason = named_text(0, "reason");
	limit->standbys = named_text(0, "standbys");
}

/*
 * A standby with fewer connections than its primary stops replaying WAL, so a
 * larger limit must be set on the standbys first, which this server cannot do.
 */
static bool
standbys_come_first(const ConnectionLimit *limit)
{
	return limit->standbys != NULL && limit->recommended > limit->current;
}

/*
 * The order in which servers get the new limit; empty where there are no
 * standbys.
 */
static char *
order_of_servers(const ConnectionLimit *limit)
{
	if (limit->standbys == NULL)
		return "";
	if (standbys_come_first(limit))
		return psprintf(
			"; execute the command on each standby and restart it, then on this server: %s",
			limit->standbys);
	return psprintf(
		"; execute the command on each standby after this server was restarted: %s",
		limit->standbys);
}

static void
plan_connection_review(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	ConnectionLimit limit;

	read_limit(&limit);
	task->action = "connection_review";
	task->target = "max_connections";
	task->command = "SELECT * FROM pgmaint.connection_review()";
	task->reason =
		psprintf("%lld now; %s", (long long) limit.current, limit.reason);
	if (option_boolean(options, context->options, "apply") &&
		limit.recommended != limit.current && !standbys_come_first(&limit))
		task->command = psprintf("ALTER SYSTEM SET max_connections = %lld",
								 (long long) limit.recommended);
	task->bytes = -1;
	context->tasks = list_make1(task);
}

/*
 * Report each role and application with sessions that do not end their
 * transactions.
 */
static void
note_idle_sessions(TaskContext *context)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_double(&query, option_seconds(options, context->options, "max_idle"));
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.format('role %s%s', pg_catalog.quote_ident(a.usename), "
		"coalesce(', ' || nullif(a.application_name, ''), '')), "
		"pg_catalog.format('%s %s idle in a transaction for longer than %s, the longest for %s: process %s in database %s', "
		"pg_catalog.count(*), CASE pg_catalog.count(*) WHEN 1 THEN 'session is' ELSE 'sessions are' END, "
		"pg_catalog.make_interval(secs => $1), "
		"pg_catalog.date_trunc('second', pg_catalog.max(pg_catalog.clock_timestamp() - a.state_change)), "
		"(pg_catalog.array_agg(a.pid ORDER BY a.state_change))[1], "
		"(pg_catalog.array_agg(pg_catalog.quote_ident(a.datname) ORDER BY a.state_change))[1]) "
		"FROM pg_catalog.pg_stat_activity a "
		"WHERE a.backend_type = 'client backend' AND a.state LIKE 'idle in transaction%' "
		"AND pg_catalog.clock_timestamp() - a.state_change > pg_catalog.make_interval(secs => $1) "
		"GROUP BY a.usename, a.application_name ORDER BY 1");
	for (uint64 row = 0; row < rows; row++)
		(void) note_finding(&context->findings, "connections", "warning",
							ledger_text(row, 1), ledger_text(row, 2));
}

static bool
is_to_be_applied(const TaskContext *context)
{
	return strncmp(context->task->command, "ALTER SYSTEM ", 13) == 0;
}

/*
 * ALTER SYSTEM cannot run in a transaction.  The server checks whether the
 * role may, and is told to reload its configuration, so pg_settings shows the
 * pending restart.
 */
static void
apply_limit(TaskContext *context)
{
	if (!is_to_be_applied(context))
		return;
	execute_at_top_level(context->task->command);
	(void) kill(PostmasterPid, SIGHUP);
}

static void
execute_connection_review(TaskContext *context)
{
	bool applied = is_to_be_applied(context);
	LedgerScope scope;
	ConnectionLimit limit;

	ledger_enter(&scope);
	sample_connections();
	read_limit(&limit);
	note_idle_sessions(context);
	ledger_leave(&scope);
	if (applied)
		(void) note_finding(
			&context->findings, "connections", "info",
			pstrdup("max_connections"),
			psprintf(
				"max_connections was changed; restart the server to apply the change%s",
				order_of_servers(&limit)));
	else if (limit.recommended != limit.current)
		note_finding(
			&context->findings, "connections",
			limit.recommended > limit.current ? "warning" : "info",
			pstrdup("max_connections"),
			psprintf("max_connections should be %lld instead of %lld: %s%s",
					 (long long) limit.recommended, (long long) limit.current,
					 limit.reason, order_of_servers(&limit)))
			->detail = psprintf(
			"{\"command\": \"ALTER SYSTEM SET max_connections = %lld\"}",
			(long long) limit.recommended);
	context->result =
		psprintf("{\"peak\": %lld, \"current\": %lld, \"recommended\": %lld, "
				 "\"applied\": %s}",
				 (long long) limit.peak, (long long) limit.current,
				 (long long) limit.recommended, applied ? "true" : "false");
}

static char *
describe_connections(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 current = result_number(result, "current");
	int64 recommended = result_number(result, "recommended");

	initStringInfo(&words);
	appendStringInfo(&words, "peak connections: %s of %s",
					 count_text(result_number(result, "peak")),
					 count_text(current));
	if (result_flag(result, "applied"))
		add_phrase(&words,
				   psprintf("max_connections set to %s, effective after a "
							"restart of the server",
							count_text(recommended)));
	else if (recommended != current)
		add_phrase(&words, psprintf("recommended max_connections: %s",
									count_text(recommended)));
	return words.data;
}

DEFINE_ACTION(connection_review) = {
	.name = "connection_review",
	.description =
		"review the use of the server's connections and recommend max_connections; sets it only with option apply",
	.options = options,
	.repeatable = true,
	.plan = plan_connection_review,
	.outside = apply_limit,
	.execute = execute_connection_review,
	.describe = describe_connections,
	.shown_as = SHOWN_WITH_STEP,
};
