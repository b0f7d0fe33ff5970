/*-------------------------------------------------------------------------
 *
 * missed.c
 *	  Scheduled runs that were missed.
 *
 * The times of a schedule are compared with the runs of its plan in the ledger.
 * A time counts as kept if a run was queued at that time or before the next, by
 * any session, or if a run had not ended: pg_cron waits for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "engine/cronjobs.h"
#include "engine/cronline.h"
#include "engine/missed.h"
#include "ledger/findings.h"
#include "ledger/schedules.h"

/* pg_cron may be late: its scheduler executes one job after the other */
#define GRACE (10 * USECS_PER_MINUTE)

/* a schedule that is still missed gets one finding a day, with a number */
#define PAUSE (23 * USECS_PER_HOUR)

/* older times are not of interest */
#define LOOK_BACK (INT64CONST(366) * USECS_PER_DAY)

typedef struct Missed
{
	int64 count;
	TimestampTz first;
	TimestampTz last;
} Missed;

/*
 * The times before the horizon at which no run began.  Returns false if there
 * were none.
 */
static bool
find_missed(const PlanSchedule *schedule, const CronLine *line,
			TimestampTz horizon, const ScheduledRun *runs, int count,
			Missed *missed)
{
	pg_tz *zone = cron_timezone();
	bool both_days = cron_wants_both_days();
	TimestampTz busy_until = DT_NOBEGIN;
	TimestampTz since = Max(schedule->checked_until, horizon - LOOK_BACK);
	TimestampTz time = next_cron_time(line, since, zone, both_days);
	bool due = false;
	int next_run = 0;

	memset(missed, 0, sizeof(*missed));
	while (time <= horizon)
	{
		TimestampTz next = next_cron_time(line, time, zone, both_days);

		CHECK_FOR_INTERRUPTS();
		due = true;
		while (next_run < count && runs[next_run].requested_at < time)
		{
			busy_until = Max(busy_until, runs[next_run].finished_at);
			next_run++;
		}
		if (busy_until < time &&
			(next_run == count || runs[next_run].requested_at >= next))
		{
			if (missed->count++ == 0)
				missed->first = time;
			missed->last = time;
		}
		time = next;
	}
	return due;
}

/*
 * The same for an interval, whose times depend on the previous run.
 */
static bool
find_missed_interval(const PlanSchedule *schedule, const CronLine *line,
					 TimestampTz horizon, const ScheduledRun *runs, int count,
					 Missed *missed)
{
	TimestampTz last = schedule->checked_until;

	memset(missed, 0, sizeof(*missed));
	for (int i = 0; i < count; i++)
	{
		if (runs[i].finished_at == DT_NOEND)
			return false;
		last = Max(last, runs[i].finished_at);
	}
	last += line->seconds * USECS_PER_SEC;
	if (last > horizon)
		return false;
	missed->count = (horizon - last) / (line->seconds * USECS_PER_SEC) + 1;
	missed->first = last;
	missed->last = horizon;
	return true;
}

static void
add_missed_finding(int64 run_id, const PlanSchedule *schedule,
				   const Missed *missed)
{
	StringInfoData message;
	StringInfoData detail;
	char *last = pstrdup(timestamptz_to_str(missed->last));

	initStringInfo(&message);
	if (missed->count == 1)
		appendStringInfo(&message,
						 "scheduled run of plan \"%s\" at %s was missed",
						 schedule->plan, last);
	else
		appendStringInfo(&message,
						 INT64_FORMAT " scheduled runs of plan \"%s\" from "
									  "%s to %s were missed",
						 missed->count, schedule->plan,
						 timestamptz_to_str(missed->first), last);
	if (PgStartTime > missed->last)
		appendStringInfo(&message, "; the server started later, at %s",
						 timestamptz_to_str(PgStartTime));
	appendStringInfoString(&message, "; see pgmaint.schedules");

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"schedule\": ");
	escape_json(&detail, schedule->schedule);
	appendStringInfoString(&detail, ", \"scheduled_by\": ");
	escape_json(&detail, schedule->scheduled_by);
	appendStringInfo(&detail, ", \"missed\": " INT64_FORMAT, missed->count);
	appendStringInfo(&detail, ", \"first\": \"%s\"",
					 timestamptz_to_str(missed->first));
	appendStringInfo(&detail, ", \"last\": \"%s\"", last);
	appendStringInfo(&detail, ", \"server_started\": \"%s\"}",
					 timestamptz_to_str(PgStartTime));
	add_finding(run_id, 0, 0, "missed_schedule", "warning", schedule->plan,
				message.data, detail.data);
}

static void
check_schedule(int64 run_id, const PlanSchedule *schedule, TimestampTz horizon)
{
	CronLine line;
	ScheduledRun *runs;
	Missed missed;
	int count;
	bool due;

	if (!parse_cron_line(schedule->schedule, &line) ||
		next_cron_time(&line, schedule->checked_until, cron_timezone(),
					   cron_wants_both_days()) > horizon)
		return;
	count = find_scheduled_runs(schedule, &runs);
	due = line.seconds > 0
			  ? find_missed_interval(schedule, &line, horizon, runs, count,
									 &missed)
			  : find_missed(schedule, &line, horizon, runs, count, &missed);
	if (!due)
	{
		/* runs before the last one do not matter */
		if (count > 1)
			mark_schedule_checked(schedule, runs[count - 1].requested_at,
								  false);
		return;
	}
	if (missed.count > 0)
	{
		/* recorded already, and unchanged since */
		if (schedule->noted_at > horizon - PAUSE &&
			(count == 0 || runs[count - 1].requested_at < schedule->noted_at))
			return;
		add_missed_finding(run_id, schedule, &missed);
	}
	mark_schedule_checked(schedule, horizon, missed.count > 0);
}

/*
 * Record a finding for each schedule of which runs were missed since the last
 * check.  The finding belongs to the run, or to none.  The caller is inside a
 * ledger scope.
 */
void
note_missed_schedules(int64 run_id)
{
	TimestampTz horizon = GetCurrentTimestamp() - GRACE;
	ListCell *cell;

	foreach (cell, find_schedules_to_check())
		check_schedule(run_id, lfirst(cell), horizon);
}
