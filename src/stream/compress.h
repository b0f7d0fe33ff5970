/*-------------------------------------------------------------------------
 *
 * compress.h
 *	  Compression on the way to a sink, and from a source.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPRESS_H
#define PGMAINT_COMPRESS_H

#include "stream/sink.h"
#include "stream/source.h"

typedef struct CompressionMethod
{
	const char *name;	/* gzip, zstd, none */
	const char *suffix; /* .gz, .zst, nothing */
	int default_level;
	int minimum_level;
	int maximum_level;
} CompressionMethod;

/* NULL for a name that this build does not have */
extern const CompressionMethod *find_compression(const char *name);
/* by the end of a key; "none" where it is no method's */
extern const CompressionMethod *compression_of_key(const char *key);
/* "gzip, zstd, none", for a hint */
extern char *compression_names(void);

/* for "none" these return what they were given */
extern Sink *compressor_create(const CompressionMethod *method, int level,
							   Sink *next);
extern Source *decompressor_create(const CompressionMethod *method,
								   Source *from);

#endif /* PGMAINT_COMPRESS_H */
