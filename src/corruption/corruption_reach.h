/*-------------------------------------------------------------------------
 *
 * corruption_reach.h
 *	  How many checks the time suffices for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CORRUPTION_REACH_H
#define PGMAINT_CORRUPTION_REACH_H

#include "action/action.h"

typedef struct Reach
{
	double limit;	 /* seconds of all workers together; 0: none */
	double per_task; /* seconds that any task takes at least */
	int64 checks;
	double seconds;
} Reach;

/* inside a ledger scope */
extern void begin_reach(Reach *reach, PlanContext *context, double budget);

extern bool is_within_reach(const Reach *reach);
extern void extend_reach(Reach *reach, int64 bytes, double seconds);

#endif /* PGMAINT_CORRUPTION_REACH_H */
