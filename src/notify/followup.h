/*-------------------------------------------------------------------------
 *
 * followup.h
 *	  Seeing to it that those who are to know of troubles do.
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
	bool left_to_others; /* another process was sending */
} FollowUp;

extern void follow_up(FollowUp *work);

#endif /* PGMAINT_NOTIFY_FOLLOWUP_H */
