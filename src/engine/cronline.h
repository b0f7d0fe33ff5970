/*-------------------------------------------------------------------------
 *
 * cronline.h
 *	  The times of a schedule, as pg_cron determines them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CRONLINE_H
#define PGMAINT_CRONLINE_H

#include "datatype/timestamp.h"
#include "pgtime.h"

/* bit n of a field is set if the schedule matches the value n */
typedef struct CronLine
{
	uint64 minutes;
	uint64 hours;
	uint64 days;
	uint64 months;
	uint64 weekdays;
	bool last_day; /* of the month, besides days */
	bool any_day;  /* days, or weekdays, begin with an asterisk */
	bool at_start; /* only when the server starts */
	int seconds;   /* an interval instead of times; 0: none */
} CronLine;

extern bool parse_cron_line(const char *text, CronLine *line);
extern TimestampTz next_cron_time(const CronLine *line, TimestampTz after,
								  pg_tz *zone, bool both_days);

#endif /* PGMAINT_CRONLINE_H */
