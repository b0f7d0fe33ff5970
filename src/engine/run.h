/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Queueing and cancelling of runs.
 *
 * The room engine: a run from the call to its end: plans, the leader, its
 * workers, windows, schedules, and the table of actions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RUN_H
#define PGMAINT_RUN_H

#include "utils/jsonb.h"

extern void check_run_is_possible(const char *function);
extern int64 queue_run(const char *function, const char *plan, Jsonb *options);

#endif /* PGMAINT_RUN_H */
