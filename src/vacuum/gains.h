/*-------------------------------------------------------------------------
 *
 * gains.h
 *	  What VACUUM and ANALYZE did for a table, in words.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_GAINS_H
#define PGMAINT_GAINS_H

#include "action/action.h"

extern char *describe_gains(const ClaimedTask *task, Jsonb *result);

#endif /* PGMAINT_GAINS_H */
