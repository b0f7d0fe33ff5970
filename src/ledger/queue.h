/*-------------------------------------------------------------------------
 *
 * queue.h
 *	  The queue of runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_QUEUE_H
#define PGMAINT_QUEUE_H

#include "ledger/runs.h"

extern int64 add_run(const char *plan, Jsonb *options, Oid role,
					 const char *role_name, Jsonb *steps, bool *joined);
extern bool take_queued_run(Run *run);
extern bool queued_run_can_begin(void);
extern void send_run_back(int64 run_id, int step, const char *reason);
extern void end_cancelled_run(int64 run_id, bool begun);
extern void end_cancelled_queued_runs(void);

#endif /* PGMAINT_QUEUE_H */
