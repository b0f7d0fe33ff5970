/*-------------------------------------------------------------------------
 *
 * history.h
 *	  What the ledger knows of earlier tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HISTORY_H
#define PGMAINT_HISTORY_H

#include "datatype/timestamp.h"

#include "ledger/tasks.h"

/*
 * Of a query for tasks t of one action, those that tell how long such tasks
 * take.  Rows of the index tasks_action, read from its end, and of no others.
 */
#define TELLING_TASKS                                \
	"t.error IS NULL AND t.finished_at IS NOT NULL " \
	"AND t.state = 'succeeded' AND t.bytes_before IS NOT NULL "

/* earlier tasks of one action on one object */
typedef struct TaskHistory
{
	int runs;			 /* that succeeded, of the last few */
	double rate;		 /* their milliseconds for each byte */
	int64 cut_short;	 /* milliseconds that one took which was stopped since;
						  * 0: none was */
	TimestampTz last_at; /* when the last was begun; 0: never */
} TaskHistory;

extern TaskHistory *read_histories(List *tasks);
extern double usual_rate(const char *action, bool disruptive);

#endif /* PGMAINT_HISTORY_H */
