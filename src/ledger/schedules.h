/*-------------------------------------------------------------------------
 *
 * schedules.h
 *	  The rows of pgmaint_internal.plan_schedules.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SCHEDULES_H
#define PGMAINT_SCHEDULES_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "ledger/ledger.h"

/* a schedule to check for missed runs */
typedef struct PlanSchedule
{
	char *plan;
	char *schedule;
	Oid role;
	char *scheduled_by;
	TimestampTz checked_until; /* runs missed before this time are recorded */
	TimestampTz noted_at;	   /* DT_NOBEGIN: none was missed */
} PlanSchedule;

/* a run that a schedule may have queued */
typedef struct ScheduledRun
{
	TimestampTz requested_at;
	TimestampTz finished_at; /* DT_NOEND: it has not ended */
} ScheduledRun;

extern void note_schedule(const char *plan, const char *schedule,
						  Jsonb *options, Oid role, const char *role_name,
						  int64 job_id);
extern bool forget_schedule(const char *plan, const char *role_name);
extern char *default_schedule(const char *plan);
extern List *find_default_schedules(const char *role_name);
extern List *find_schedules_to_check(void);
extern int find_scheduled_runs(const PlanSchedule *schedule,
							   ScheduledRun **runs);
extern void mark_schedule_checked(const PlanSchedule *schedule,
								  TimestampTz until, bool noted);

#endif /* PGMAINT_SCHEDULES_H */
