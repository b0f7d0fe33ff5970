/*-------------------------------------------------------------------------
 *
 * dumpfilter.h
 *	  A dump of pg_dump --format=custom without entries of some kinds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DUMPFILTER_H
#define PGMAINT_DUMPFILTER_H

#include "stream/dumpfile.h"

/*
 * A sink that passes on a dump without entries of these kinds (NULL after the
 * last), and without entries that depend on them.
 */
extern Sink *dump_filter_create(const char *const *kinds, Sink *next);

/* once the dump has ended: of DumpEntry *, and how many bytes they had */
extern List *dump_filter_left_out(const Sink *sink);
extern int64 dump_filter_left_out_bytes(const Sink *sink);

#endif /* PGMAINT_DUMPFILTER_H */
