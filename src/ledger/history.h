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
