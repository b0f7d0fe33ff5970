/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  The tables that a plan reads, and the indexes that it uses.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_READING_H
#define PGMAINT_ADVICE_READING_H

#include "nodes/plannodes.h"

/* a table that the plan reads more of than it needs */
typedef struct Reading
{
	Oid relation; /* a partition stands for itself */
	bool whole;	  /* all of it, at least once */
	double rows;  /* that are kept of it */
} Reading;

typedef struct PlanReadings
{
	List *readings; /* of Reading */
	List *indexes;	/* OIDs, where they narrow or order what is read */
} PlanReadings;

extern void read_plan(PlannedStmt *plan, PlanReadings *result);

#endif /* PGMAINT_ADVICE_READING_H */
