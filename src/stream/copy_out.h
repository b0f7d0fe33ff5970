/*-------------------------------------------------------------------------
 *
 * copy_out.h
 *	  The output of COPY (query) TO STDOUT, for a sink.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COPY_OUT_H
#define PGMAINT_COPY_OUT_H

#include "stream/sink.h"

extern uint64 copy_out(const char *query, const char *options, Sink *sink);

#endif /* PGMAINT_COPY_OUT_H */
