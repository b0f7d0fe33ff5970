/*-------------------------------------------------------------------------
 *
 * elsewhere.h
 *	  Queries pg_cron, in any database of the cluster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ELSEWHERE_H
#define PGMAINT_ELSEWHERE_H

#include "engine/cronjobs.h"

extern char *ask_cron(const CronServer *server, const CronQuestion *question);
extern int64 ask_cron_for_number(const CronServer *server,
								 const CronQuestion *question);

#endif /* PGMAINT_ELSEWHERE_H */
