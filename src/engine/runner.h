/*-------------------------------------------------------------------------
 *
 * runner.h
 *	  One run, from its first step to its last; part of the leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RUNNER_H
#define PGMAINT_RUNNER_H

#include "ledger/runs.h"

extern bool carry_out_run(const Run *run, Oid of_extension);
extern int current_step_number(void);

#endif /* PGMAINT_RUNNER_H */
