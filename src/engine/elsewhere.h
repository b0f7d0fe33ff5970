/*-------------------------------------------------------------------------
 *
 * elsewhere.h
 *	  Asking pg_cron in another database of the cluster.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ELSEWHERE_H
#define PGMAINT_ELSEWHERE_H

#include "engine/cronjobs.h"

extern char *ask_elsewhere(Oid database, const CronQuestion *question);

#endif /* PGMAINT_ELSEWHERE_H */
