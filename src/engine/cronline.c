/*-------------------------------------------------------------------------
 *
 * cronline.c
 *	  The times of a schedule, as pg_cron determines them.
 *
 * pg_cron does not show when it will run a job, or should have run it.  This
 * parser accepts the syntax of pg_cron, except for what pg_cron accepts by
 * mistake: fewer than five fields, or text behind them.  Times are determined as
 * in pg_cron: a schedule matches each minute by its local time, so an hour that
 * daylight saving time skips has no runs, and one that it repeats has them
 * twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "engine/cronline.h"

/* February 29 can be eight years away */
#define HORIZON (INT64CONST(9) * 366 * USECS_PER_DAY)

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may",
										  "jun", "jul", "aug", "sep", "oct",
										  "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed",
											"thu", "fri", "sat", NULL};

/* schedules that have names */
static const struct
{
	const char *name;
	const char *line;
} named_lines[] = {
	{"@yearly", "0 0 1 1 *"},  {"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"},
};

static const char *
skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/*
 * A number, or one of the names, which count from first.  Returns the rest of
 * the text, or NULL.
 */
static const char *
parse_number(const char *at, int first, const char *const *names, int *number)
{
	int length = 0;

	*number = 0;
	while (isalnum((unsigned char) at[length]))
		length++;
	for (int i = 0; names != NULL && names[i] != NULL; i++)
	{
		if (length == 3 && pg_strncasecmp(at, names[i], 3) == 0)
		{
			*number = first + i;
			return at + length;
		}
	}
	if (length == 0 || length > 4)
		return NULL;
	for (int i = 0; i < length; i++)
	{
		if (!isdigit((unsigned char) at[i]))
			return NULL;
		*number = *number * 10 + (at[i] - '0');
	}
	return at + length;
}

/*
 * One field: ranges with commas between them.  Returns the beginning of the
 * next, or NULL.
 */
static const char *
parse_field(const char *at, int first, int last, const char *const *names,
			uint64 *values)
{
	*values = 0;
	for (;;)
	{
		int from = first;
		int to = last;
		int step = 1;
		bool range = true;

		if (*at == '*')
			at++;
		else
		{
			at = parse_number(at, first, names, &from);
			if (at == NULL)
				return NULL;
			to = from;
			range = *at == '-';
			if (range)
				at = parse_number(at + 1, first, names, &to);
			if (at == NULL)
				return NULL;
		}
		if (range && *at == '/')
			at = parse_number(at + 1, 0, NULL, &step);
		if (at == NULL || from < first || to > last || from > to || step < 1 ||
			step > last)
			return NULL;
		for (int value = from; value <= to; value += step)
			*values |= UINT64CONST(1) << value;
		if (*at != ',')
			break;
		at++;
	}
	if (*at != ' ' && *at != '\t' && *at != '\0')
		return NULL;
	return skip_blanks(at);
}

/*
 * "30 seconds", which pg_cron accepts since 1.5.
 */
static bool
parse_interval(const char *at, int *seconds)
{
	at = parse_number(at, 0, NULL, seconds);
	if (at == NULL || *seconds < 1 || *seconds > 59)
		return false;
	at = skip_blanks(at);
	if (pg_strncasecmp(at, "second", 6) != 0)
		return false;
	at += 6;
	if (*at == 's' || *at == 'S')
		at++;
	return *skip_blanks(at) == '\0';
}

/*
 * Parse a schedule; false if it is invalid.
 */
bool
parse_cron_line(const char *text, CronLine *line)
{
	const char *at = skip_blanks(text);

	memset(line, 0, sizeof(*line));
	if (strcmp(at, "@reboot") == 0 || strcmp(at, "@restart") == 0)
	{
		line->at_start = true;
		return true;
	}
	if (parse_interval(at, &line->seconds))
		return true;
	line->seconds = 0;
	for (int i = 0; i < lengthof(named_lines); i++)
	{
		if (strcmp(at, named_lines[i].name) == 0)
			at = named_lines[i].line;
	}

	at = parse_field(at, 0, 59, NULL, &line->minutes);
	if (at != NULL)
		at = parse_field(at, 0, 23, NULL, &line->hours);
	if (at == NULL)
		return false;
	line->any_day = *at == '*';
	line->last_day = *at == '$' && (at[1] == ' ' || at[1] == '\t');
	if (line->last_day)
		at = skip_blanks(at + 1);
	else
		at = parse_field(at, 1, 31, NULL, &line->days);
	if (at != NULL)
		at = parse_field(at, 1, 12, month_names, &line->months);
	if (at == NULL)
		return false;
	line->any_day |= *at == '*';
	at = parse_field(at, 0, 7, weekday_names, &line->weekdays);
	if (at == NULL || *at != '\0')
		return false;
	/* Sunday has two numbers */
	if (line->weekdays & (UINT64CONST(1) << 7))
		line->weekdays |= 1;
	return true;
}

static bool
takes(uint64 values, int value)
{
	return (values & (UINT64CONST(1) << value)) != 0;
}

/*
 * Does the schedule match the day?  If both the day of the month and the day
 * of the week are restricted, one of them is enough, as in every cron.
 */
static bool
matches_day(const CronLine *line, const struct pg_tm *now, bool last_day,
			bool both_days)
{
	bool day = takes(line->days, now->tm_mday) || (line->last_day && last_day);
	bool weekday = takes(line->weekdays, now->tm_wday);

	if (!takes(line->months, now->tm_mon + 1))
		return false;
	return (line->any_day || both_days) ? (day && weekday) : (day || weekday);
}

/*
 * The first time after this one, infinity if there is none.  An interval has
 * no fixed times: it is added.
 */
TimestampTz
next_cron_time(const CronLine *line, TimestampTz after, pg_tz *zone,
			   bool both_days)
{
	/* whole minutes, and times before 2000 are negative */
	int64 minute = after >= 0
					   ? after / USECS_PER_MINUTE
					   : -((-after + USECS_PER_MINUTE - 1) / USECS_PER_MINUTE);
	int64 end = minute + HORIZON / USECS_PER_MINUTE;

	if (line->at_start)
		return DT_NOEND;
	if (line->seconds > 0)
		return after + line->seconds * USECS_PER_SEC;
	minute++;
	while (minute < end)
	{
		TimestampTz time = minute * USECS_PER_MINUTE;
		pg_time_t now = timestamptz_to_time_t(time);
		pg_time_t tomorrow = timestamptz_to_time_t(time + USECS_PER_DAY);
		struct pg_tm local = *pg_localtime(&now, zone);
		bool last_day = pg_localtime(&tomorrow, zone)->tm_mday == 1;

		CHECK_FOR_INTERRUPTS();
		if (!matches_day(line, &local, last_day, both_days))
		{
			/* to the next full hour, or to two hours before midnight */
			minute += 60 - local.tm_min;
			if (local.tm_hour < 21)
				minute += INT64CONST(60) * (21 - local.tm_hour);
		}
		else if (!takes(line->hours, local.tm_hour))
			minute += 60 - local.tm_min;
		else if (!takes(line->minutes, local.tm_min))
			minute++;
		else
			return time;
	}
	return DT_NOEND;
}
