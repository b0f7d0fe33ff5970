/*-------------------------------------------------------------------------
 *
 * runner.h
 *	  One run, from its first step to its last; part of the leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RUNNER_H
#define PGMAINT_RUNNER_H

#include <signal.h>

#include "ledger/runs.h"

/* set by a signal handler: the run that is going on is to be cancelled */
extern volatile sig_atomic_t cancel_current_run;

extern void carry_out_run(const Run *run, Oid of_extension);

#endif /* PGMAINT_RUNNER_H */
