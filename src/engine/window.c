/*-------------------------------------------------------------------------
 *
 * window.c
 *	  add_window, drop_window, window_open: maintenance windows of users.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "ledger/windows.h"

PG_FUNCTION_INFO_V1(pgmaint_add_window);
PG_FUNCTION_INFO_V1(pgmaint_drop_window);
PG_FUNCTION_INFO_V1(pgmaint_window_open);

#define DAYS_PER_WINDOW 7

/*
 * All arguments but the time zone are required.
 */
static void
check_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"name", "days", "starts", "duration"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s of a window must not be null", names[i])));
	}
}

static void
check_name(const char *name)
{
	if (name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("the name of a window must not be empty")));
}

/*
 * The days of the week on which a window opens: at least one, from 0 to 6.
 */
static void
check_days(ArrayType *chosen)
{
	Datum *values;
	bool *nulls;
	int count;

	deconstruct_array(chosen, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i] || DatumGetInt32(values[i]) < 0 ||
			DatumGetInt32(values[i]) > 6)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 nulls[i] ? errmsg("a day of a window must not be null")
							  : errmsg("invalid day of a window: %d",
									   DatumGetInt32(values[i])),
					 errhint("Use days from 0 (Sunday) to 6 (Saturday).")));
	}
	if (count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a window must have at least one day"),
						errhint("Use days from 0 (Sunday) to 6 (Saturday).")));
}

/*
 * A duration in hours, minutes and seconds, independent of days of 23 or 25
 * hours.
 */
static Interval *
elapsed_time(const Interval *duration)
{
	Interval *elapsed = palloc0(sizeof(Interval));

	if (duration->month == 0 && abs(duration->day) <= DAYS_PER_WINDOW &&
		duration->time <= DAYS_PER_WINDOW * USECS_PER_DAY &&
		duration->time >= -DAYS_PER_WINDOW * USECS_PER_DAY)
		elapsed->time = duration->time + duration->day * USECS_PER_DAY;
	if (elapsed->time < USECS_PER_MINUTE ||
		elapsed->time > DAYS_PER_WINDOW * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid duration of a window: %s",
						DatumGetCString(DirectFunctionCall1(
							interval_out, IntervalPGetDatum(duration)))),
				 errhint("Use a duration from 1 minute to %d days.",
						 DAYS_PER_WINDOW)));
	return elapsed;
}

/*
 * A time zone by its name; that of the session if none is given.
 */
static const char *
zone_name(FunctionCallInfo fcinfo, int argument)
{
	char *name;
	pg_tz *zone;

	if (PG_ARGISNULL(argument))
		return pg_get_timezone_name(session_timezone);
	name = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	zone = pg_tzset(name);
	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("time zone \"%s\" not recognized", name),
			 errhint(
				 "Use a name in pg_timezone_names, such as \"UTC\" or \"Europe/Berlin\".")));
	return pg_get_timezone_name(zone);
}

static void
complain_about_missing(const char *name)
{
	char *names = list_windows();

	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("window \"%s\" does not exist", name),
					names == NULL
						? errhint("Define a window with pgmaint.add_window().")
						: errhint("Defined windows are: %s.", names)));
}

/*
 * pgmaint.add_window(name text, days integer[], starts time, duration interval,
 * timezone text) returns void
 */
Datum
pgmaint_add_window(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *name;

	PreventCommandDuringRecovery("pgmaint.add_window()");
	PreventCommandIfReadOnly("pgmaint.add_window()");
	check_arguments(fcinfo);
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check_name(name);
	check_days(PG_GETARG_ARRAYTYPE_P(1));
	bind_text(&query, name);
	bind_datum(&query, INT4ARRAYOID, PG_GETARG_DATUM(1));
	bind_datum(&query, TIMEOID, PG_GETARG_DATUM(2));
	bind_datum(&query, INTERVALOID,
			   IntervalPGetDatum(elapsed_time(PG_GETARG_INTERVAL_P(3))));
	bind_text(&query, zone_name(fcinfo, 4));
	bind_text(&query, GetUserNameFromId(GetUserId(), false));
	ledger_enter(&scope);
	if (ledger_query(
			&query,
			"INSERT INTO pgmaint.maintenance_windows (name, days, starts, duration, timezone, added_by) "
			"SELECT $1, pg_catalog.array_agg(d.day ORDER BY d.day), $3, $4, $5, $6 "
			"FROM (SELECT DISTINCT u.day FROM pg_catalog.unnest($2) AS u (day)) d "
			"ON CONFLICT (name) DO NOTHING RETURNING 1") == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("window \"%s\" already exists", name),
			 errhint("Drop the window first with pgmaint.drop_window().")));
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

/*
 * pgmaint.drop_window(name text) returns void
 */
Datum
pgmaint_drop_window(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	LedgerScope scope;
	LedgerQuery query = {0};

	PreventCommandDuringRecovery("pgmaint.drop_window()");
	PreventCommandIfReadOnly("pgmaint.drop_window()");
	bind_text(&query, name);
	ledger_enter(&scope);
	if (ledger_query(
			&query,
			"DELETE FROM pgmaint.maintenance_windows WHERE name = $1 RETURNING 1") ==
		0)
		complain_about_missing(name);
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

/*
 * pgmaint.window_open(name text, at timestamptz) returns boolean
 */
Datum
pgmaint_window_open(PG_FUNCTION_ARGS)
{
	char *name =
		PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	LedgerScope scope;
	LedgerQuery query = {0};
	bool open;

	bind_text(&query, name);
	bind_datum(&query, TIMESTAMPTZOID,
			   PG_ARGISNULL(1) ? TimestampTzGetDatum(window_clock())
							   : PG_GETARG_DATUM(1));
	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"SELECT EXISTS (SELECT FROM pgmaint.maintenance_windows w WHERE w.name = $1), "
		"EXISTS (SELECT FROM pgmaint.window_hours($2, $2 + '1 second'::pg_catalog.interval) h "
		"WHERE h.opens <= $2 AND ($1 IS NULL OR h.name = $1))");
	if (name != NULL && !ledger_boolean(0, 1))
		complain_about_missing(name);
	open = ledger_boolean(0, 2);
	ledger_leave(&scope);
	PG_RETURN_BOOL(open);
}
