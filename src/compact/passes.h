/*-------------------------------------------------------------------------
 *
 * passes.h
 *	  Passes over the end of a table, in batches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PASSES_H
#define PGMAINT_PASSES_H

#include "lib/stringinfo.h"

#include "action/action.h"
#include "compact/compaction.h"
#include "compact/cut_off.h"
#include "compact/pace.h"

typedef struct Work
{
	TaskContext *context;
	const CompactLimits *limits;
	Compaction compaction;
	Pace pace;
	BlockNumber first_end; /* pages of the table at first */
	CutEnd cut;			   /* how the last cut ended */
	bool timed_out;		   /* the round must end, and another one follow */
	char *stopped;		   /* why no more rows are moved, or NULL */
	TimestampTz next_report;
	StringInfoData activity;
} Work;

extern void move_rows_of_round(Work *work);

#endif /* PGMAINT_PASSES_H */
