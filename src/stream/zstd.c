/*-------------------------------------------------------------------------
 *
 * zstd.c
 *	  Compression and decompression with Zstandard, if the server supports it.
 *
 * As with gzip, the library allocates its own memory, which is released with
 * the chain or with the chain's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef USE_ZSTD

#include <zstd.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "stream/codecs.h"

typedef struct ZstdSink
{
	Sink sink;
	ZSTD_CCtx *context;
	MemoryContextCallback callback;
	ZSTD_outBuffer out;
	char buffer[CODEC_BUFFER_SIZE];
} ZstdSink;

typedef struct ZstdSource
{
	Source source;
	ZSTD_DCtx *context;
	bool inside; /* a frame has begun and not ended */
	bool any;	 /* there was one */
	bool full;	 /* zstd may have more than there was room for */
	MemoryContextCallback callback;
	ZSTD_inBuffer in;
	char buffer[CODEC_BUFFER_SIZE];
} ZstdSource;

static void
no_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
					errmsg("out of memory for zstd")));
}

static void
release_compressor(void *arg)
{
	ZstdSink *zstd = arg;

	(void) ZSTD_freeCCtx(zstd->context);
	zstd->context = NULL;
}

/*
 * Compress the rest of the input, or flush the library's buffers, and pass on
 * the output; returns the number of bytes that zstd still holds.
 */
static size_t
compress(ZstdSink *zstd, ZSTD_inBuffer *in, ZSTD_EndDirective directive)
{
	size_t left;

	CHECK_FOR_INTERRUPTS();
	left = ZSTD_compressStream2(zstd->context, &zstd->out, in, directive);
	if (ZSTD_isError(left))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compress with zstd: %s",
							   ZSTD_getErrorName(left))));
	if (zstd->out.pos == zstd->out.size ||
		(directive == ZSTD_e_end && zstd->out.pos > 0))
	{
		size_t length = zstd->out.pos;

		zstd->out.pos = 0;
		sink_write(zstd->sink.next, zstd->buffer, length);
	}
	return left;
}

static void
zstd_write(Sink *sink, const char *data, size_t length)
{
	while (length > 0)
	{
		/* no more at a time than one can wait for */
		ZSTD_inBuffer in = {data, Min(length, CODEC_BUFFER_SIZE), 0};

		while (in.pos < in.size)
			(void) compress((ZstdSink *) sink, &in, ZSTD_e_continue);
		data += in.size;
		length -= in.size;
	}
}

static void
zstd_end(Sink *sink)
{
	ZstdSink *zstd = (ZstdSink *) sink;
	ZSTD_inBuffer in = {NULL, 0, 0};

	while (compress(zstd, &in, ZSTD_e_end) > 0)
		continue;
	release_compressor(zstd);
}

static void
zstd_abort(Sink *sink)
{
	release_compressor(sink);
}

static const SinkOps zstd_sink_ops = {
	.write = zstd_write,
	.end = zstd_end,
	.abort = zstd_abort,
};

Sink *
zstd_compressor_create(int level, Sink *next)
{
	ZstdSink *zstd =
		(ZstdSink *) sink_create(&zstd_sink_ops, sizeof(ZstdSink), next);

	zstd->callback.func = release_compressor;
	zstd->callback.arg = zstd;
	MemoryContextRegisterResetCallback(zstd->sink.context, &zstd->callback);
	zstd->out.dst = zstd->buffer;
	zstd->out.size = sizeof(zstd->buffer);
	zstd->context = ZSTD_createCCtx();
	if (zstd->context == NULL ||
		ZSTD_isError(ZSTD_CCtx_setParameter(zstd->context,
											ZSTD_c_compressionLevel, level)) ||
		ZSTD_isError(
			ZSTD_CCtx_setParameter(zstd->context, ZSTD_c_checksumFlag, 1)))
		no_memory();
	return &zstd->sink;
}

static void
release_decompressor(void *arg)
{
	ZstdSource *zstd = arg;

	(void) ZSTD_freeDCtx(zstd->context);
	zstd->context = NULL;
}

/*
 * Read more compressed bytes; false at an end that is not premature.
 */
static bool
get_more(ZstdSource *zstd)
{
	zstd->in.pos = 0;
	zstd->in.size =
		source_read(zstd->source.from, zstd->buffer, sizeof(zstd->buffer));
	if (zstd->in.size == 0 && (zstd->inside || !zstd->any))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("zstd data ends too early")));
	return zstd->in.size > 0;
}

/*
 * Read decompressed bytes; there may be several frames in sequence.
 */
static size_t
zstd_read(Source *source, char *data, size_t size)
{
	ZstdSource *zstd = (ZstdSource *) source;
	ZSTD_outBuffer out = {data, size, 0};

	while (out.pos == 0)
	{
		size_t before;
		size_t expected;

		CHECK_FOR_INTERRUPTS();
		if (zstd->in.pos == zstd->in.size && !zstd->full && !get_more(zstd))
			return 0;
		before = zstd->in.pos;
		expected = ZSTD_decompressStream(zstd->context, &out, &zstd->in);
		if (ZSTD_isError(expected))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("zstd data is damaged"),
							errdetail("zstd reported: %s.",
									  ZSTD_getErrorName(expected))));
		/* without anything new, what it expects is another frame */
		if (out.pos > 0 || zstd->in.pos > before)
		{
			zstd->inside = expected != 0;
			zstd->any = true;
		}
		zstd->full = out.pos == out.size && zstd->inside;
	}
	return out.pos;
}

static void
zstd_close(Source *source)
{
	release_decompressor(source);
}

static const SourceOps zstd_source_ops = {.read = zstd_read,
										  .close = zstd_close};

Source *
zstd_decompressor_create(Source *from)
{
	ZstdSource *zstd = (ZstdSource *) source_create(&zstd_source_ops,
													sizeof(ZstdSource), from);

	zstd->callback.func = release_decompressor;
	zstd->callback.arg = zstd;
	MemoryContextRegisterResetCallback(zstd->source.context, &zstd->callback);
	zstd->in.src = zstd->buffer;
	zstd->context = ZSTD_createDCtx();
	if (zstd->context == NULL)
		no_memory();
	return &zstd->source;
}

#endif
