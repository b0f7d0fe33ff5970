/*-------------------------------------------------------------------------
 *
 * elsewhere.h
 *	  Asking pg_cron, in whichever database of the cluster it is.
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
