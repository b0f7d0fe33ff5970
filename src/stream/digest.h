/*-------------------------------------------------------------------------
 *
 * digest.h
 *	  A sink that counts and hashes the bytes passed through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DIGEST_H
#define PGMAINT_DIGEST_H

#include "stream/sink.h"

extern void check_hash(bool done);
extern Sink *digest_create(Sink *next);

/* once the chain has ended */
extern uint64 digest_bytes(const Sink *sink);
extern char *digest_sha256(const Sink *sink);

#endif /* PGMAINT_DIGEST_H */
