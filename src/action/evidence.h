/*-------------------------------------------------------------------------
 *
 * evidence.h
 *	  Fields of the evidence that the plan recorded for a task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_EVIDENCE_H
#define PGMAINT_EVIDENCE_H

#include "ledger/tasks.h"

extern char *evidence_text(const ClaimedTask *task, const char *name);
extern int64 evidence_number(const ClaimedTask *task, const char *name,
							 int64 otherwise);
extern bool evidence_flag(const ClaimedTask *task, const char *name);

#endif /* PGMAINT_EVIDENCE_H */
