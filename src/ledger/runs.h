/*-------------------------------------------------------------------------
 *
 * runs.h
 *	  The rows of pgmaint.runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RUNS_H
#define PGMAINT_RUNS_H

#include "utils/jsonb.h"

#include "ledger/ledger.h"

typedef struct Run
{
	int64 run_id;
	char *plan;
	Oid role;
	char *requested_by;
	Jsonb *steps;
	int current_step; /* 0: none was begun */
	/* the settings of the session that queued it */
	int max_workers;
	int lock_timeout;
	int lock_retries;
	int worker_timeout;
	int clock_offset;
	int max_wait;
} Run;

extern bool read_run(int64 run_id, Run *run);
extern char *read_run_state(int64 run_id, char **error);
extern void begin_step(int64 run_id, int step);
extern void end_run(int64 run_id, const char *state, const char *error);
extern void add_run_failure(int64 run_id, const char *failure);
extern void add_cancellation(int64 run_id, const char *role_name);
extern bool cancellation_requested(int64 run_id);
extern bool unfinished_runs_exist(void);
extern uint64 interrupt_running_runs(const char *error);
extern void keep_queued_runs(const char *identity);
extern void interrupt_copied_runs(void);
extern void resume_interrupted_runs(void);
extern void forget_old_runs(void);

#endif /* PGMAINT_RUNS_H */
