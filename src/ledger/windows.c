/*-------------------------------------------------------------------------
 *
 * windows.c
 *	  Maintenance windows: the hours in which disruptive tasks may run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "ledger/windows.h"

PG_FUNCTION_INFO_V1(pgmaint_window_clock);
PG_FUNCTION_INFO_V1(pgmaint_wall_clock_time);
PG_FUNCTION_INFO_V1(pgmaint_end_of_period);

/* longer periods are mistakes, and would return millions of rows */
#define LONGEST_PERIOD_DAYS 3660

/*
 * The time by which windows open and close.  pgmaint.clock_offset shifts it,
 * to test another time.
 */
TimestampTz
window_clock(void)
{
	return GetCurrentTimestamp() + pgmaint_clock_offset * USECS_PER_SEC;
}

/*
 * pgmaint_internal.window_clock() returns timestamptz
 */
Datum
pgmaint_window_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(window_clock());
}

/*
 * pgmaint_internal.wall_clock_time(day date, at time, timezone text) returns
 * timestamptz
 *
 * AT TIME ZONE takes names such as CET or EST for abbreviations without
 * daylight saving time before it takes them for time zones, and cannot be used
 * here.
 */
Datum
pgmaint_wall_clock_time(PG_FUNCTION_ARGS)
{
	DateADT day = PG_GETARG_DATEADT(0);
	TimeADT at = PG_GETARG_TIMEADT(1);
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	pg_tz *zone = pg_tzset(name);
	Timestamp local;
	struct pg_tm broken_down;
	fsec_t fraction;

	if (DATE_NOT_FINITE(day) ||
		day >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("date out of range for timestamp")));
	local = day * USECS_PER_DAY + at;
	if (zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" not recognized", name)));
	if (timestamp2tm(local, NULL, &broken_down, &fraction, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
	PG_RETURN_TIMESTAMPTZ(local +
						  (int64) DetermineTimeZoneOffset(&broken_down, zone) *
							  USECS_PER_SEC);
}

/*
 * pgmaint_internal.end_of_period(since timestamptz, until timestamptz) returns
 * timestamptz
 *
 * Returns the second argument, after a check that the period is finite.
 */
Datum
pgmaint_end_of_period(PG_FUNCTION_ARGS)
{
	TimestampTz since = PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(1);

	if (TIMESTAMP_NOT_FINITE(since) || TIMESTAMP_NOT_FINITE(until) ||
		until / USECS_PER_DAY - since / USECS_PER_DAY > LONGEST_PERIOD_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the period must be finite and at most %d days long",
						LONGEST_PERIOD_DAYS)));
	PG_RETURN_TIMESTAMPTZ(until);
}

/*
 * Is a window open now, and until when?  The caller is inside a ledger scope.
 */
void
read_window_state(WindowState *state)
{
	LedgerQuery query = {0};

	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(window_clock()));
	(void) ledger_query(
		&query,
		"SELECT EXISTS (SELECT FROM pgmaint.maintenance_windows) AS defined, "
		"pgmaint_internal.open_until($1) AS closes, "
		"(SELECT h.name FROM pgmaint.window_hours($1, $1 + '1 second'::pg_catalog.interval) h "
		"WHERE h.opens <= $1 ORDER BY h.closes DESC, h.name LIMIT 1) AS name");
	state->defined = named_boolean(0, "defined");
	state->closes = named_time(0, "closes", 0);
	state->open = state->closes != 0;
	state->name = named_text(0, "name");
}

/*
 * The time left in the open windows: zero if none is open, PG_INT64_MAX if
 * they never close.
 */
int64
window_milliseconds_left(const WindowState *state)
{
	if (!state->open)
		return 0;
	if (TIMESTAMP_IS_NOEND(state->closes))
		return PG_INT64_MAX;
	return Max((state->closes - window_clock()) / 1000, 0);
}

/*
 * The window that opens next, and when; NULL if none does.
 */
char *
describe_next_window(void)
{
	LedgerQuery query = {0};

	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(window_clock()));
	if (ledger_query(
			&query,
			"SELECT pg_catalog.format('\"%s\" opens at %s', h.name, "
			"pg_catalog.date_trunc('second', h.opens)) "
			"FROM pgmaint.window_hours($1, $1 + '336 hours'::pg_catalog.interval) h "
			"WHERE h.opens > $1 ORDER BY h.opens, h.name LIMIT 1") == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * The names of all windows, for hints; NULL if there are none.
 */
char *
list_windows(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query, "SELECT pg_catalog.string_agg(w.name, ', ' ORDER BY w.name) "
				"FROM pgmaint.maintenance_windows w");
	return ledger_text(0, 1);
}
