/*-------------------------------------------------------------------------
 *
 * cronjobs.c
 *	  Queries of pg_cron, and its settings.
 *
 * pg_cron keeps the jobs of all databases in one of them.  All queries have the
 * rights of the caller: in this session if pg_cron is in this database, else in
 * a background worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "base/compat.h"
#include "base/extension_member.h"
#include "engine/cronjobs.h"

/* pg_cron 1.4 keeps names of jobs as names */
#define JOB_NAME_BYTES (NAMEDATALEN - 1)

/*
 * A setting of pg_cron as text, or the given default.
 */
static const char *
cron_setting(const char *name, const char *instead)
{
	const char *value = GetConfigOption(name, true, false);

	return value == NULL ? instead : value;
}

/*
 * Has the postmaster loaded pg_cron's library?  Its settings may exist without
 * it.
 */
static bool
cron_is_loaded(void)
{
	List *libraries;
	ListCell *cell;

	if (!SplitDirectoriesString(pstrdup(shared_preload_libraries_string), ',',
								&libraries))
		return false;
	foreach (cell, libraries)
	{
		const char *slash = strrchr(lfirst(cell), '/');
		const char *name = slash == NULL ? lfirst(cell) : slash + 1;

		if (strcmp(name, "pg_cron") == 0 || strcmp(name, "pg_cron.so") == 0)
			return true;
	}
	return false;
}

/*
 * Find the database of pg_cron, or raise an error that says how to install it.
 */
void
find_cron_server(CronServer *server)
{
	const char *others = shared_preload_libraries_string;

	server->database_name = cron_setting("cron.database_name", "postgres");
	if (!cron_is_loaded())
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("schedules need pg_cron, which is not loaded"),
			 errhint(
				 "Install pg_cron, set shared_preload_libraries = '%s%spg_cron', restart the server, and execute CREATE EXTENSION pg_cron in database \"%s\".",
				 others, others[0] == '\0' ? "" : ", ",
				 server->database_name)));
	server->database = get_database_oid(server->database_name, true);
	if (!OidIsValid(server->database))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_DATABASE),
			 errmsg("database \"%s\" of pg_cron does not exist",
					server->database_name),
			 errhint(
				 "Set cron.database_name to an existing database, restart the server, and execute CREATE EXTENSION pg_cron in that database.")));
	server->background_workers =
		strcmp(cron_setting("cron.use_background_workers", "off"), "on") == 0;
}

/*
 * The time zone of schedules.
 */
pg_tz *
cron_timezone(void)
{
	pg_tz *zone = pg_tzset(cron_setting("cron.timezone", "GMT"));

	return zone == NULL ? pg_tzset("GMT") : zone;
}

/*
 * Must both the day of the month and that of the week match?
 */
bool
cron_wants_both_days(void)
{
	return strcmp(cron_setting("cron.match_dom_and_dow", "off"), "on") == 0;
}

/*
 * The name of a plan's job, unique across plans and databases.
 */
char *
cron_job_name(const char *plan)
{
	char *name =
		psprintf("pgmaint %s in %s", plan, get_database_name(MyDatabaseId));
	int length = (int) strlen(name);
	uint64 hash;

	if (length <= JOB_NAME_BYTES)
		return name;
	hash = hash_bytes_extended((unsigned char *) name, length, 0);
	length = pg_mbcliplen(name, length, JOB_NAME_BYTES - 17);
	return psprintf("%.*s %08x%08x", length, name, (uint32) (hash >> 32),
					(uint32) hash);
}

/* for hints, which must not look up names during an error */
typedef struct Hints
{
	const char *database;
	const char *role; /* NULL for a superuser */
} Hints;

/*
 * Add a hint to an error that pg_cron, or the query of it, raised.
 */
static void
add_hint(void *arg)
{
	const Hints *hints = arg;
	int code = geterrcode();

	/* hide the internal statement, which does not help the caller */
	internalerrposition(0);
	internalerrquery(NULL);
	if (code == ERRCODE_INSUFFICIENT_PRIVILEGE && hints->role != NULL)
		errhint(
			"As a superuser, execute in database \"%s\": GRANT USAGE ON SCHEMA cron TO %s; GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO %s.",
			hints->database, hints->role, hints->role);
	else if (code == ERRCODE_INVALID_PARAMETER_VALUE)
		errhint(
			"Use five fields of numbers, such as '0 3 * * 0', which every version of pg_cron accepts.");
	else if (code == ERRCODE_UNDEFINED_FUNCTION)
		errhint(
			"Update pg_cron to 1.4 or later with ALTER EXTENSION pg_cron UPDATE in database \"%s\".",
			hints->database);
}

/*
 * Execute a statement whose parameters are the first of these arguments.  It
 * names pg_cron's tables, in a schema in which only superusers can replace
 * them.
 */
static SPITupleTable *
query_cron(const CronQuestion *question, int count, const char *sql)
{
	Oid types[CRON_MAX_ARGUMENTS];
	Datum values[CRON_MAX_ARGUMENTS];
	int result;

	require_member_table("pg_cron", "cron", "job");
	require_member_table("pg_cron", "cron", "job_run_details");
	for (int i = 0; i < count; i++)
	{
		types[i] = TEXTOID;
		values[i] = CStringGetTextDatum(question->arguments[i]);
	}
	result = SPI_execute_with_args(sql, count, types, values, NULL, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "pg_cron returned no result: %s",
			 SPI_result_code_string(result));
	return SPI_tuptable;
}

/*
 * Call pg_cron's function for a schedule with the first of these arguments.
 * The others are null or, for the last of schedule_in_database(), whether the
 * job is active.
 */
static char *
call_schedule(const CronQuestion *question, const char *name, int given,
			  int count, const Oid *types)
{
	NullableDatum arguments[MEMBER_MAX_ARGUMENTS] = {0};

	for (int i = 0; i < count; i++)
	{
		arguments[i].isnull = i >= given && types[i] != BOOLOID;
		arguments[i].value = i < given
								 ? CStringGetTextDatum(question->arguments[i])
								 : BoolGetDatum(true);
	}
	return psprintf(INT64_FORMAT,
					DatumGetInt64(call_member_function(
						require_member_function("pg_cron", name, count, types),
						count, arguments)));
}

/*
 * Unschedule the jobs whose numbers a statement returns; returns their number.
 */
static char *
unschedule_jobs(const CronQuestion *question, int count, const char *sql)
{
	static const Oid types[] = {INT8OID};
	SPITupleTable *jobs = query_cron(question, count, sql);
	uint64 found = SPI_processed;

	for (uint64 row = 0; row < found; row++)
	{
		NullableDatum job = {0};

		CHECK_FOR_INTERRUPTS();
		job.value =
			SPI_getbinval(jobs->vals[row], jobs->tupdesc, 1, &job.isnull);
		(void) call_member_function(
			require_member_function("pg_cron", "unschedule", 1, types), 1,
			&job);
	}
	return psprintf(UINT64_FORMAT, found);
}

static char *
ask_to_schedule(const CronQuestion *question)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID,
								TEXTOID, TEXTOID, BOOLOID};

	/* pg_cron would not activate a job that is paused */
	(void) unschedule_jobs(
		question, 1,
		"SELECT j.jobid FROM cron.job j "
		"WHERE j.jobname::pg_catalog.text OPERATOR(pg_catalog.=) $1 "
		"AND j.username OPERATOR(pg_catalog.=) CURRENT_USER::pg_catalog.text "
		"AND NOT j.active");
	/* every role with USAGE may schedule in pg_cron's own database */
	if (strcmp(question->arguments[3], get_database_name(MyDatabaseId)) == 0)
		return call_schedule(question, "schedule", 3, 3, types);
	return call_schedule(question, "schedule_in_database", 4, 6, types);
}

/*
 * The jobs of a database, with the last execution of each.  Only superusers
 * see the jobs of other roles.
 */
static char *
ask_for_list(const CronQuestion *question)
{
	SPITupleTable *jobs = query_cron(
		question, 1,
		"SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
		"'job_id', j.jobid, 'name', j.jobname, 'scheduled_by', j.username, "
		"'schedule', j.schedule, 'command', j.command, 'active', j.active, "
		"'last_start', d.start_time, 'last_status', d.status, "
		"'last_message', d.return_message)), '[]')::pg_catalog.text "
		"FROM cron.job j LEFT JOIN LATERAL "
		"(SELECT r.start_time, r.status, r.return_message FROM cron.job_run_details r "
		"WHERE r.jobid OPERATOR(pg_catalog.=) j.jobid AND r.start_time IS NOT NULL "
		"ORDER BY r.runid DESC LIMIT 1) d ON true "
		"WHERE j.database OPERATOR(pg_catalog.=) $1 "
		"AND j.jobname::pg_catalog.text OPERATOR(pg_catalog.~~) 'pgmaint %'");

	return SPI_getvalue(jobs->vals[0], jobs->tupdesc, 1);
}

/*
 * Query pg_cron in this database, with the rights of the current user.
 */
char *
answer_cron_question(const CronQuestion *question)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {0};
	Hints hints = {0};
	int level = NewGUCNestLevel();
	char *answer = NULL;

	hints.database = get_database_name(MyDatabaseId);
	if (!superuser())
		hints.role = quote_identifier(GetUserNameFromId(GetUserId(), false));
	if (!OidIsValid(get_extension_oid("pg_cron", true)))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pg_cron is not installed in database \"%s\"",
					hints.database),
			 errhint("Execute CREATE EXTENSION pg_cron in that database.")));
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	callback.callback = add_hint;
	callback.arg = &hints;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	SPI_connect();
	switch (question->kind)
	{
		case CRON_SCHEDULE:
			answer = ask_to_schedule(question);
			break;
		case CRON_UNSCHEDULE:
			answer = unschedule_jobs(
				question, 2,
				"SELECT j.jobid FROM cron.job j "
				"WHERE j.jobname::pg_catalog.text OPERATOR(pg_catalog.=) $1 "
				"AND j.username OPERATOR(pg_catalog.=) $2");
			break;
		case CRON_LIST:
			answer = ask_for_list(question);
			break;
	}
	answer = MemoryContextStrdup(context, answer);
	SPI_finish();
	error_context_stack = callback.previous;
	AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(context);
	return answer;
}
