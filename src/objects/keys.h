/*-------------------------------------------------------------------------
 *
 * keys.h
 *	  The keys of objects, their manifests and records in a storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_KEYS_H
#define PGMAINT_KEYS_H

#include "lib/stringinfo.h"

extern void append_key_part(StringInfo key, const char *name);
extern void append_short_key_part(StringInfo key, const char *name,
								  const char *whole, int room);
extern char *key_stem(const char *key);
extern char *key_of_attempt(const char *key, int attempt);
extern char *manifest_key(const char *key);
extern char *verification_key(const char *key);

#endif /* PGMAINT_KEYS_H */
