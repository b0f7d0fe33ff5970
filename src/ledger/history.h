/*-------------------------------------------------------------------------
 *
 * history.h
 *	  Durations of earlier tasks in the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HISTORY_H
#define PGMAINT_HISTORY_H

#include "datatype/timestamp.h"

#include "ledger/tasks.h"

/*
 * Of a query for tasks t of one action, those from which durations are
 * predicted.  They are exactly the rows of the index tasks_action, read from
 * its end.
 */
#define TELLING_TASKS                                \
	"t.error IS NULL AND t.finished_at IS NOT NULL " \
	"AND t.state = 'succeeded' AND t.bytes_before IS NOT NULL "

/* earlier tasks of one action on one object */
typedef struct TaskHistory
{
	int runs;	 /* that succeeded, of the last few */
	double rate; /* their milliseconds for each byte */
	int64
		cut_short; /* milliseconds of a task that was stopped since; 0: none was */
	TimestampTz last_at; /* when the last task began; 0: never */
} TaskHistory;

extern TaskHistory *read_histories(List *tasks);
extern double usual_rate(const char *action, bool disruptive);

#endif /* PGMAINT_HISTORY_H */
