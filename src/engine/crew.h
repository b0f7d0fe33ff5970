/*-------------------------------------------------------------------------
 *
 * crew.h
 *	  The leader's task workers for one step.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CREW_H
#define PGMAINT_CREW_H

#include "ledger/runs.h"

extern void crew_begin(const Run *run, int step, Oid extension);
extern bool crew_look_after(bool cancelled);
extern void crew_interrupt(void);
extern void crew_wait(void);
extern void crew_dismiss(void);
extern void crew_dismiss_at_exit(int code, Datum arg);

#endif /* PGMAINT_CREW_H */
