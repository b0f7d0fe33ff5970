/*-------------------------------------------------------------------------
 *
 * findings.h
 *	  The rows of pgmaint.findings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FINDINGS_H
#define PGMAINT_FINDINGS_H

#include "ledger/ledger.h"

extern void add_finding(int64 run_id, int step, int64 task_id,
						const char *check_id, const char *severity,
						const char *object, const char *message,
						const char *detail);
extern void add_failed_run(int64 run_id, int step, const char *error);

#endif /* PGMAINT_FINDINGS_H */
