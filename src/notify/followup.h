/*-------------------------------------------------------------------------
 *
 * followup.h
 *	  Updating alerts, and notifying contacts of them.
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
	bool retry;	  /* send failed messages again at once */
	int seconds;  /* no delivery is begun after that time */
	/* results */
	int sent;
	int failed;
	bool held_up; /* alerts were not updated, since a lock was not available */
	bool left_to_others; /* another process was sending */
	/* milliseconds; locks of other sessions must not delay a run */
	int lock_timeout;
} FollowUp;

extern void follow_up(FollowUp *work);

#endif /* PGMAINT_NOTIFY_FOLLOWUP_H */
