/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  What archives are called on a storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_KEYS_H
#define PGMAINT_KEYS_H

#include "retention/policy.h"

/* in a ledger scope */
extern char *object_key(const RetentionPolicy *policy, Oid relation,
						const char *range, int64 run_id);

extern char *key_of_attempt(const char *key, int attempt);
extern char *manifest_key(const char *key);

#endif /* PGMAINT_KEYS_H */
