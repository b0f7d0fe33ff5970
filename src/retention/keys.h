/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  What archives are called on a storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_KEYS_H
#define PGMAINT_RETENTION_KEYS_H

#include "retention/policy.h"

/* in a ledger scope */
extern char *object_key(const RetentionPolicy *policy, Oid relation,
						const char *range, int64 run_id);

#endif /* PGMAINT_RETENTION_KEYS_H */
