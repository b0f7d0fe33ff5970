/*-------------------------------------------------------------------------
 *
 * codecs.h
 *	  The methods of compression, for compress.c, which chooses among them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CODECS_H
#define PGMAINT_CODECS_H

#include "stream/sink.h"
#include "stream/source.h"

/* of what was read or compressed, and not yet handed on */
#define CODEC_BUFFER_SIZE 65536

extern Sink *gzip_compressor_create(int level, Sink *next);
extern Source *gzip_decompressor_create(Source *from);

#ifdef USE_ZSTD
extern Sink *zstd_compressor_create(int level, Sink *next);
extern Source *zstd_decompressor_create(Source *from);
#endif

#endif /* PGMAINT_CODECS_H */
