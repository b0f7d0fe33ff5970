/*-------------------------------------------------------------------------
 *
 * hashing.h
 *	  A source that counts and hashes the bytes passed through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HASHING_H
#define PGMAINT_HASHING_H

#include "stream/source.h"

/* closing it closes the chain */
extern Source *hashing_source_create(Source *from);
extern uint64 hashed_bytes(const Source *source);
extern const char *hashed_sha256(const Source *source);

#endif /* PGMAINT_HASHING_H */
