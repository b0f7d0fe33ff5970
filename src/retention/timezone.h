/*-------------------------------------------------------------------------
 *
 * timezone.h
 *	  The time zone that a retention policy means, and the cut-off in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TIMEZONE_H
#define PGMAINT_TIMEZONE_H

#include "retention/policy.h"

/* both in a ledger scope */
extern char *choose_timezone(const char *wanted);
extern char *cut_off(const RetentionPolicy *policy, int64 run_id);

#endif /* PGMAINT_TIMEZONE_H */
