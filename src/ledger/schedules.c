/*-------------------------------------------------------------------------
 *
 * schedules.c
 *	  The rows of pgmaint_internal.plan_schedules.
 *
 * The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "ledger/schedules.h"

/*
 * Record the schedule that was passed to pg_cron.  An unchanged schedule keeps
 * its age, so that runs missed before are still found.
 */
void
note_schedule(const char *plan, const char *schedule, Jsonb *options, Oid role,
			  const char *role_name, int64 job_id)
{
	LedgerQuery query = {0};

	bind_text(&query, plan);
	bind_text(&query, schedule);
	if (options == NULL)
		bind_null(&query, JSONBOID);
	else
		bind_datum(&query, JSONBOID, JsonbPGetDatum(options));
	bind_oid(&query, role);
	bind_text(&query, role_name);
	bind_oid(&query, MyDatabaseId);
	bind_bigint(&query, job_id);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.plan_schedules AS s "
		"(plan, schedule, options, role, scheduled_by, database, job_id) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) "
		"ON CONFLICT (plan, scheduled_by) DO UPDATE SET schedule = excluded.schedule, "
		"options = excluded.options, role = excluded.role, database = excluded.database, "
		"job_id = excluded.job_id, "
		"scheduled_at = CASE WHEN (s.schedule, s.role, s.database) = "
		"(excluded.schedule, excluded.role, excluded.database) "
		"THEN s.scheduled_at ELSE excluded.scheduled_at END, "
		"checked_until = CASE WHEN (s.schedule, s.role, s.database) = "
		"(excluded.schedule, excluded.role, excluded.database) "
		"THEN s.checked_until ELSE excluded.checked_until END");
}

/*
 * Delete a schedule.  Returns whether there was one.
 */
bool
forget_schedule(const char *plan, const char *role_name)
{
	LedgerQuery query = {0};

	bind_text(&query, plan);
	bind_text(&query, role_name);
	return ledger_query(&query, "DELETE FROM pgmaint_internal.plan_schedules "
								"WHERE plan = $1 AND scheduled_by = $2 "
								"RETURNING 1") > 0;
}

/*
 * The default schedule of a plan; NULL if it has none.
 */
char *
default_schedule(const char *plan)
{
	LedgerQuery query = {0};

	bind_text(&query, plan);
	if (ledger_query(
			&query,
			"SELECT d.schedule FROM pgmaint_internal.default_schedules() d WHERE d.plan = $1") ==
		0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * The default schedules; those that exist already keep their times and
 * options.
 */
List *
find_default_schedules(const char *role_name)
{
	LedgerQuery query = {0};
	List *schedules = NIL;
	uint64 rows;

	bind_text(&query, role_name);
	bind_oid(&query, MyDatabaseId);
	rows = ledger_query(
		&query,
		"SELECT d.plan, coalesce(s.schedule, d.schedule) AS schedule, s.options "
		"FROM pgmaint_internal.default_schedules() WITH ORDINALITY d (plan, schedule, nth) "
		"LEFT JOIN pgmaint_internal.plan_schedules s "
		"ON s.plan = d.plan AND s.scheduled_by = $1 AND s.database = $2 ORDER BY d.nth");
	for (uint64 row = 0; row < rows; row++)
	{
		bool isnull;
		Datum options = named_datum(row, "options", &isnull);

		schedules = lappend(
			schedules,
			list_make3(named_text(row, "plan"), named_text(row, "schedule"),
					   isnull ? NULL : DatumGetJsonbPCopy(options)));
	}
	return schedules;
}

/*
 * Find the schedules of which runs may have been missed.  Rows that another
 * process has locked are skipped, as are those of a database of which this is
 * a copy.
 */
List *
find_schedules_to_check(void)
{
	LedgerQuery query = {0};
	List *schedules = NIL;
	uint64 rows;

	bind_oid(&query, MyDatabaseId);
	rows = ledger_query(
		&query,
		"SELECT s.plan, s.schedule, s.role, s.scheduled_by, s.checked_until, s.noted_at "
		"FROM pgmaint_internal.plan_schedules s WHERE s.database = $1 AND s.plan <> 'tick' "
		"ORDER BY s.plan, s.scheduled_by FOR UPDATE SKIP LOCKED");
	for (uint64 row = 0; row < rows; row++)
	{
		PlanSchedule *schedule = palloc0(sizeof(PlanSchedule));

		schedule->plan = named_text(row, "plan");
		schedule->schedule = named_text(row, "schedule");
		schedule->role = named_oid(row, "role");
		schedule->scheduled_by = named_text(row, "scheduled_by");
		schedule->checked_until = named_time(row, "checked_until", DT_NOBEGIN);
		schedule->noted_at = named_time(row, "noted_at", DT_NOBEGIN);
		schedules = lappend(schedules, schedule);
	}
	return schedules;
}

/*
 * The runs of the plan by the same role that were queued, or continued, since
 * the schedule was last checked, in the order in which they were queued.
 */
int
find_scheduled_runs(const PlanSchedule *schedule, ScheduledRun **runs)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_text(&query, schedule->plan);
	bind_oid(&query, schedule->role);
	bind_datum(&query, TIMESTAMPTZOID,
			   TimestampTzGetDatum(schedule->checked_until));
	rows = ledger_query(
		&query,
		"SELECT r.requested_at, r.finished_at FROM pgmaint.runs r "
		"WHERE r.plan = $1 AND r.role = $2 AND "
		"(r.requested_at >= $3 OR r.finished_at IS NULL OR r.finished_at >= $3) "
		"ORDER BY r.requested_at");
	*runs = palloc(Max(rows, 1) * sizeof(ScheduledRun));
	for (uint64 row = 0; row < rows; row++)
	{
		(*runs)[row].requested_at = ledger_time(row, 1, DT_NOBEGIN);
		(*runs)[row].finished_at = ledger_time(row, 2, DT_NOEND);
	}
	return (int) rows;
}

void
mark_schedule_checked(const PlanSchedule *schedule, TimestampTz until,
					  bool noted)
{
	LedgerQuery query = {0};

	bind_text(&query, schedule->plan);
	bind_text(&query, schedule->scheduled_by);
	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(until));
	bind_boolean(&query, noted);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.plan_schedules SET checked_until = $3, "
		"noted_at = CASE WHEN $4 THEN pg_catalog.clock_timestamp() ELSE noted_at END "
		"WHERE plan = $1 AND scheduled_by = $2");
}
