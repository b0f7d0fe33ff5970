/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  Keys of archives in a storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_KEYS_H
#define PGMAINT_RETENTION_KEYS_H

#include "retention/policy.h"

/* of a policy that archives, as read_policy() returns it */
extern char *object_key(const RetentionPolicy *policy, Oid relation,
						const char *range, int64 run_id);

#endif /* PGMAINT_RETENTION_KEYS_H */
