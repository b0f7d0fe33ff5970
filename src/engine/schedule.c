/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  Schedules, which are jobs of pg_cron: schedule, unschedule,
 *	  schedule_all, and the view pgmaint.schedules.
 *
 * If pg_cron is in this database, its job is created in the caller's
 * transaction.  Otherwise it is created in a transaction in the database of
 * pg_cron, and stays when the caller's is rolled back; pgmaint.schedules shows
 * it then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/subtransaction.h"
#include "engine/cronline.h"
#include "engine/elsewhere.h"
#include "engine/plan.h"
#include "engine/run.h"
#include "ledger/schedules.h"

PG_FUNCTION_INFO_V1(pgmaint_schedule);
PG_FUNCTION_INFO_V1(pgmaint_unschedule);
PG_FUNCTION_INFO_V1(pgmaint_schedule_all);
PG_FUNCTION_INFO_V1(pgmaint_next_run);
PG_FUNCTION_INFO_V1(pgmaint_cron_command);
PG_FUNCTION_INFO_V1(pgmaint_cron_jobs);

/* not a plan, but part of every set of schedules */
#define TICK "tick"

/*
 * Parse a schedule, or raise an error with a hint on the syntax.
 */
static void
require_cron_line(const char *schedule, CronLine *line)
{
	if (!parse_cron_line(schedule, line))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid schedule: \"%s\"", schedule),
			 errhint(
				 "Write five fields: minute, hour, day of the month, month, day of the week; '0 3 * * 0' is Sundays at 03:00, '30 2 1 * *' the first of each month at 02:30.")));
	if (!line->at_start &&
		next_cron_time(line, GetCurrentTimestamp(), cron_timezone(),
					   cron_wants_both_days()) == DT_NOEND)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" never occurs", schedule),
				 errhint("Choose a day that occurs in one of the months.")));
}

/*
 * The command of a job.  In a client session of pg_cron, the job waits for the
 * run, and pg_cron's record shows the outcome of the run.  In a background
 * worker, the scheduler itself would wait for the end.
 */
static char *
cron_command(const CronServer *server, const char *plan, Jsonb *options)
{
	StringInfoData command;

	if (strcmp(plan, TICK) == 0)
		return pstrdup("SELECT pgmaint.tick()");
	initStringInfo(&command);
	appendStringInfo(&command, "%s(%s",
					 server->background_workers ? "SELECT pgmaint.run"
												: "CALL pgmaint.run_and_wait",
					 quote_literal_cstr(plan));
	if (options != NULL)
		appendStringInfo(&command, ", %s",
						 quote_literal_cstr(JsonbToCString(
							 NULL, &options->root, VARSIZE(options))));
	appendStringInfoChar(&command, ')');
	return command.data;
}

/*
 * Would the job work?  It connects as the current user, in a session that has
 * another search path.
 */
static void
check_job_is_possible(const CronServer *server, const char *plan,
					  Jsonb *options)
{
	Oid role = GetUserId();
	const char *function = strcmp(plan, TICK) == 0 ? "pgmaint.tick()"
						   : server->background_workers
							   ? "pgmaint.run(text, jsonb)"
							   : "pgmaint.run_and_wait(text, jsonb, bigint)";
	const char *role_name = GetUserNameFromId(role, false);
	LedgerScope scope;
	LedgerQuery query = {0};
	HeapTuple tuple;
	bool may_login;
	bool may_execute;
	int level;

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	may_login = HeapTupleIsValid(tuple) &&
				((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!may_login)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg(
				 "role \"%s\" cannot have schedules because it is not permitted to log in",
				 role_name),
			 errhint("Call the function as a role that can log in.")));

	ledger_enter(&scope);
	bind_oid(&query, role);
	bind_text(&query, function);
	(void) ledger_query(
		&query, "SELECT pg_catalog.has_function_privilege($1, $2, 'EXECUTE')");
	may_execute = ledger_boolean(0, 1);
	ledger_leave(&scope);
	if (!may_execute)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg(
				 "permission denied for role \"%s\" to execute %s, which the schedule would call",
				 role_name, function),
			 errhint("Execute GRANT EXECUTE ON %s %s TO %s.",
					 strncmp(function, "pgmaint.run_and_wait", 20) == 0
						 ? "PROCEDURE"
						 : "FUNCTION",
					 function, quote_identifier(role_name))));

	if (strcmp(plan, TICK) == 0)
	{
		if (options != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("schedule of \"%s\" takes no options", TICK)));
		return;
	}
	/* tables need the names of their schemas */
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) steps_of_plan(plan, options);
	AtEOXact_GUC(false, level);
}

/*
 * Create a job, and record it.
 */
static int64
schedule_plan(const CronServer *server, const char *plan, const char *schedule,
			  Jsonb *options)
{
	Oid role = GetUserId();
	CronQuestion question = {.kind = CRON_SCHEDULE, .count = 4};
	LedgerScope scope;
	CronLine line;
	int64 job_id;

	require_cron_line(schedule, &line);
	check_job_is_possible(server, plan, options);
	question.arguments[0] = cron_job_name(plan);
	question.arguments[1] = schedule;
	question.arguments[2] = cron_command(server, plan, options);
	question.arguments[3] = get_database_name(MyDatabaseId);
	job_id = ask_cron_for_number(server, &question);

	ledger_enter(&scope);
	note_schedule(plan, schedule, options, role,
				  GetUserNameFromId(role, false), job_id);
	ledger_leave(&scope);
	return job_id;
}

/*
 * pgmaint.schedule(plan text, schedule text, options jsonb) returns bigint
 */
Datum
pgmaint_schedule(PG_FUNCTION_ARGS)
{
	Jsonb *options = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	CronServer server;
	char *plan;
	char *schedule;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the plan must not be null")));
	plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check_run_is_possible("pgmaint.schedule()");
	find_cron_server(&server);
	if (!PG_ARGISNULL(1))
		schedule = text_to_cstring(PG_GETARG_TEXT_PP(1));
	else
	{
		LedgerScope scope;

		ledger_enter(&scope);
		schedule = default_schedule(plan);
		ledger_leave(&scope);
		if (schedule == NULL)
		{
			/* if it is no plan, the error says so */
			(void) steps_of_plan(plan, NULL);
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("plan \"%s\" has no default schedule", plan),
				 errhint(
					 "Pass a schedule, for example SELECT pgmaint.schedule(%s, '0 3 * * 0') for Sundays at 03:00.",
					 quote_literal_cstr(plan))));
		}
	}
	PG_RETURN_INT64(schedule_plan(&server, plan, schedule, options));
}

/*
 * pgmaint.unschedule(plan text, scheduled_by name) returns boolean
 */
Datum
pgmaint_unschedule(PG_FUNCTION_ARGS)
{
	char *plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *role_name = NameStr(*PG_GETARG_NAME(1));
	CronQuestion question = {.kind = CRON_UNSCHEDULE, .count = 2};
	CronServer server;
	LedgerScope scope;
	int64 jobs;
	bool noted;

	check_run_is_possible("pgmaint.unschedule()");
	if (!superuser() &&
		strcmp(role_name, GetUserNameFromId(GetUserId(), false)) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to remove a schedule of role \"%s\"",
					role_name),
			 errhint("Call the function as that role, or as a superuser.")));
	find_cron_server(&server);
	question.arguments[0] = cron_job_name(plan);
	question.arguments[1] = role_name;
	jobs = ask_cron_for_number(&server, &question);
	ledger_enter(&scope);
	noted = forget_schedule(plan, role_name);
	ledger_leave(&scope);
	PG_RETURN_BOOL(jobs > 0 || noted);
}

/*
 * pgmaint.schedule_all() returns table (plan text, schedule text, job_id bigint)
 */
Datum
pgmaint_schedule_all(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CronServer server;
	LedgerScope scope;
	List *schedules;
	ListCell *cell;

	check_run_is_possible("pgmaint.schedule_all()");
	find_cron_server(&server);
	materialize_result(fcinfo);
	ledger_enter(&scope);
	schedules = find_default_schedules(GetUserNameFromId(GetUserId(), false));
	ledger_leave(&scope);
	foreach (cell, schedules)
	{
		List *wanted = lfirst(cell);
		Datum values[3];
		bool nulls[3] = {0};

		values[0] = CStringGetTextDatum(linitial(wanted));
		values[1] = CStringGetTextDatum(lsecond(wanted));
		values[2] = Int64GetDatum(schedule_plan(
			&server, linitial(wanted), lsecond(wanted), lthird(wanted)));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/*
 * pgmaint.next_run(schedule text, after timestamptz, timezone text)
 *		returns timestamptz
 */
Datum
pgmaint_next_run(PG_FUNCTION_ARGS)
{
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(1);
	pg_tz *zone = cron_timezone();
	CronLine line;
	TimestampTz next;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || TIMESTAMP_NOT_FINITE(after))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(2))
	{
		char *name = text_to_cstring(PG_GETARG_TEXT_PP(2));

		zone = pg_tzset(name);
		if (zone == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("time zone \"%s\" not recognized", name)));
	}
	require_cron_line(text_to_cstring(PG_GETARG_TEXT_PP(0)), &line);
	next = next_cron_time(&line, after, zone, cron_wants_both_days());
	if (next == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}

/*
 * pgmaint_internal.cron_command(plan text, options jsonb) returns text
 */
Datum
pgmaint_cron_command(PG_FUNCTION_ARGS)
{
	CronServer server;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	find_cron_server(&server);
	PG_RETURN_TEXT_P(cstring_to_text(
		cron_command(&server, text_to_cstring(PG_GETARG_TEXT_PP(0)),
					 PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1))));
}

/* pg_cron's database, and its answer */
typedef struct Inquiry
{
	CronQuestion question;
	char *answer;
} Inquiry;

static void
inquire(void *argument)
{
	Inquiry *inquiry = argument;
	CronServer server;

	find_cron_server(&server);
	inquiry->answer = ask_cron(&server, &inquiry->question);
}

/*
 * pgmaint_internal.cron_jobs() returns jsonb
 *
 * Null, with a warning, if pg_cron could not be queried: the view still shows
 * the schedules that pgmaint knows.
 */
Datum
pgmaint_cron_jobs(PG_FUNCTION_ARGS)
{
	Inquiry inquiry = {.question = {.kind = CRON_LIST, .count = 1}};
	ErrorData *error;

	inquiry.question.arguments[0] = get_database_name(MyDatabaseId);
	error = try_in_subtransaction(inquire, &inquiry);
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error != NULL)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not query pg_cron: %s", error->message),
				 error->detail == NULL
					 ? 0
					 : errdetail_internal("%s", error->detail),
				 error->hint == NULL ? 0 : errhint("%s", error->hint)));
	if (error != NULL || inquiry.answer == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(
		DirectFunctionCall1(jsonb_in, CStringGetDatum(inquiry.answer)));
}
