/*-------------------------------------------------------------------------
 *
 * compress.c
 *	  The methods of compression for sinks and sources.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "stream/codecs.h"
#include "stream/compress.h"

typedef struct Codec
{
	CompressionMethod method;
	Sink *(*compressor)(int level, Sink *next);
	Source *(*decompressor)(Source *from);
} Codec;

/*
 * gzip's default is libdeflate's fastest level: its output is no larger than
 * that of gzip -6, on rows of an audit log.  zstd's highest are
 * left out, since they take more memory than a task may have.
 */
static const Codec codecs[] = {
	{{"gzip", ".gz", 1, 1, 9},
	 gzip_compressor_create,
	 gzip_decompressor_create},
#ifdef USE_ZSTD
	{{"zstd", ".zst", 3, 1, 9},
	 zstd_compressor_create,
	 zstd_decompressor_create},
#endif
	{{"none", "", 0, 0, 0}, NULL, NULL},
};

/* the last */
#define NO_CODEC (&codecs[lengthof(codecs) - 1])

const CompressionMethod *
find_compression(const char *name)
{
	for (int i = 0; i < lengthof(codecs); i++)
	{
		if (strcmp(codecs[i].method.name, name) == 0)
			return &codecs[i].method;
	}
	return NULL;
}

const CompressionMethod *
/* cppcheck-suppress unusedFunction ; test/modules is not looked at */
compression_of_key(const char *key)
{
	size_t length = strlen(key);

	for (int i = 0; i < lengthof(codecs); i++)
	{
		size_t suffix = strlen(codecs[i].method.suffix);

		if (length >= suffix &&
			strcmp(key + length - suffix, codecs[i].method.suffix) == 0)
			return &codecs[i].method;
	}
	return &NO_CODEC->method;
}

char *
compression_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(codecs); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "",
						 codecs[i].method.name);
	return names.data;
}

Sink *
compressor_create(const CompressionMethod *method, int level, Sink *next)
{
	const Codec *codec = (const Codec *) method;

	if (level < method->minimum_level || level > method->maximum_level)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid compression level for \"%s\": %d",
						method->name, level),
				 errhint("Use a level from %d to %d.", method->minimum_level,
						 method->maximum_level)));
	return codec->compressor == NULL ? next : codec->compressor(level, next);
}

Source *
decompressor_create(const CompressionMethod *method, Source *from)
{
	const Codec *codec = (const Codec *) method;

	return codec->decompressor == NULL ? from : codec->decompressor(from);
}
