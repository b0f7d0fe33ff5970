/*-------------------------------------------------------------------------
 *
 * followup.h
 *	  Following alerts, and notifying contacts of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_FOLLOWUP_H
#define PGMAINT_NOTIFY_FOLLOWUP_H

#include "datatype/timestamp.h"

typedef struct FollowUp
{
	Oid extension;
	int64 run_id; /* 0: none */
	bool retry;	  /* what failed before, at once */
	int seconds;  /* begin nothing after that */
	/* what came of it */
	int sent;
	int failed;
	bool held_up;		 /* alerts were not looked at, for want of a lock */
	bool left_to_others; /* another process was sending */
	/* milliseconds; others must not hold up a run by a lock on a row */
	int lock_timeout;
} FollowUp;

extern void follow_up(FollowUp *work);

#endif /* PGMAINT_NOTIFY_FOLLOWUP_H */
