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

typedef enum CrewState
{
	CREW_AT_WORK,
	CREW_DONE,		  /* all tasks have ended */
	CREW_WITHOUT_SLOT /* no worker could be started for pgmaint.worker_timeout */
} CrewState;

extern void crew_number_workers_from(int last);
extern void crew_begin(const Run *run, int step, Oid extension);
extern CrewState crew_look_after(bool cancelled);
extern void crew_interrupt(void);
extern void crew_wait(void);
extern void crew_dismiss(void);
extern void crew_dismiss_at_exit(int code, Datum arg);

#endif /* PGMAINT_CREW_H */
