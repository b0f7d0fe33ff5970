/*-------------------------------------------------------------------------
 *
 * cronjobs.h
 *	  Queries of pg_cron, and its settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CRONJOBS_H
#define PGMAINT_CRONJOBS_H

#include "pgtime.h"

typedef struct CronServer
{
	Oid database; /* the database in which pg_cron keeps its jobs */
	const char *database_name;
	bool background_workers; /* not in client sessions */
} CronServer;

typedef enum CronQuestionKind
{
	CRON_SCHEDULE,	 /* job, schedule, command, database: the job's number */
	CRON_UNSCHEDULE, /* job, role: the number of jobs that were removed */
	CRON_LIST		 /* database: its jobs, as JSON */
} CronQuestionKind;

#define CRON_MAX_ARGUMENTS 4

typedef struct CronQuestion
{
	CronQuestionKind kind;
	int count;
	const char *arguments[CRON_MAX_ARGUMENTS];
} CronQuestion;

extern void find_cron_server(CronServer *server);
extern pg_tz *cron_timezone(void);
extern bool cron_wants_both_days(void);
extern char *cron_job_name(const char *plan);
extern char *answer_cron_question(const CronQuestion *question);

#endif /* PGMAINT_CRONJOBS_H */
