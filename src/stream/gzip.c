/*-------------------------------------------------------------------------
 *
 * gzip.c
 *	  Compression and decompression of gzip data.
 *
 * libdeflate compresses several times as fast as zlib and better, but only
 * whole buffers: each becomes a member of its own, and a sequence of members
 * is gzip data, too.  zlib decompresses data of any writer.
 *
 * The libraries allocate with malloc and never call back, so no ERROR passes
 * through them.  Their memory is released with the chain, or with the chain's
 * memory context if the chain was not closed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <libdeflate.h>
#include <zlib.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "stream/codecs.h"

/* bytes in a member; more do not improve the compression */
#define MEMBER_SIZE ((size_t) 1024 * 1024)

/* the largest window, and gzip's header */
#define GZIP_WINDOW (MAX_WBITS + 16)

typedef struct GzipSink
{
	Sink sink;
	int level;
	struct libdeflate_compressor *compressor;
	char *member; /* bytes of the next member */
	size_t length;
	char *compressed;
	size_t room;
	bool any; /* has one been handed on? */
	MemoryContextCallback callback;
} GzipSink;

typedef struct GzipSource
{
	Source source;
	z_stream stream;
	bool active;
	bool inside; /* a member has begun and not ended */
	uint64 members;
	MemoryContextCallback callback;
	char buffer[CODEC_BUFFER_SIZE];
} GzipSource;

static void
release_compressor(void *arg)
{
	GzipSink *gzip = arg;

	if (gzip->compressor != NULL)
		libdeflate_free_compressor(gzip->compressor);
	gzip->compressor = NULL;
}

static void
gzip_begin(Sink *sink)
{
	GzipSink *gzip = (GzipSink *) sink;

	gzip->compressor = libdeflate_alloc_compressor(gzip->level);
	if (gzip->compressor == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory for compressing with gzip")));
	gzip->member = MemoryContextAlloc(sink->context, MEMBER_SIZE);
	gzip->room = libdeflate_gzip_compress_bound(gzip->compressor, MEMBER_SIZE);
	gzip->compressed = MemoryContextAlloc(sink->context, gzip->room);
}

/*
 * Compress the collected bytes, and pass them on.
 */
static void
write_member(GzipSink *gzip)
{
	size_t length;

	CHECK_FOR_INTERRUPTS();
	length =
		libdeflate_gzip_compress(gzip->compressor, gzip->member, gzip->length,
								 gzip->compressed, gzip->room);
	if (length == 0)
		elog(ERROR, "could not compress %zu bytes with gzip", gzip->length);
	gzip->length = 0;
	gzip->any = true;
	sink_write(gzip->sink.next, gzip->compressed, length);
}

static void
gzip_write(Sink *sink, const char *data, size_t length)
{
	GzipSink *gzip = (GzipSink *) sink;

	while (length > 0)
	{
		size_t taken = Min(length, MEMBER_SIZE - gzip->length);

		memcpy(gzip->member + gzip->length, data, taken);
		gzip->length += taken;
		data += taken;
		length -= taken;
		if (gzip->length == MEMBER_SIZE)
			write_member(gzip);
	}
}

/*
 * Empty data is written as one empty member.
 */
static void
gzip_end(Sink *sink)
{
	GzipSink *gzip = (GzipSink *) sink;

	if (gzip->length > 0 || !gzip->any)
		write_member(gzip);
	release_compressor(gzip);
}

static void
gzip_abort(Sink *sink)
{
	release_compressor(sink);
}

static const SinkOps gzip_sink_ops = {
	.begin = gzip_begin,
	.write = gzip_write,
	.end = gzip_end,
	.abort = gzip_abort,
};

Sink *
gzip_compressor_create(int level, Sink *next)
{
	GzipSink *gzip =
		(GzipSink *) sink_create(&gzip_sink_ops, sizeof(GzipSink), next);

	gzip->level = level;
	gzip->callback.func = release_compressor;
	gzip->callback.arg = gzip;
	MemoryContextRegisterResetCallback(gzip->sink.context, &gzip->callback);
	return &gzip->sink;
}

/*
 * Raise an ERROR for a failure of zlib that does not depend on the data.
 */
static void
zlib_failed(const z_stream *stream, int result)
{
	ereport(ERROR,
			(errcode(result == Z_MEM_ERROR ? ERRCODE_OUT_OF_MEMORY
										   : ERRCODE_INTERNAL_ERROR),
			 errmsg("could not decompress with gzip: %s",
					stream->msg != NULL ? stream->msg : zError(result))));
}

static void
release_inflate(void *arg)
{
	GzipSource *gzip = arg;

	if (gzip->active)
		(void) inflateEnd(&gzip->stream);
	gzip->active = false;
}

static void
refuse_data(const GzipSource *gzip)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					gzip->members > 0 && gzip->stream.total_out == 0
						? errmsg("gzip data is followed by other data")
						: errmsg("gzip data is damaged"),
					gzip->stream.msg != NULL
						? errdetail("zlib reported: %s.", gzip->stream.msg)
						: 0));
}

/*
 * Read more compressed bytes; false at an end that is not premature.
 */
static bool
get_more(GzipSource *gzip)
{
	size_t length =
		source_read(gzip->source.from, gzip->buffer, sizeof(gzip->buffer));

	if (length == 0 && (gzip->inside || gzip->members == 0))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("gzip data ends too early")));
	gzip->stream.next_in = (Bytef *) gzip->buffer;
	gzip->stream.avail_in = (uInt) length;
	return length > 0;
}

/*
 * Read decompressed bytes.  There may be several members in sequence, as in
 * concatenated gzip files.
 */
static size_t
gzip_read(Source *source, char *data, size_t size)
{
	GzipSource *gzip = (GzipSource *) source;
	z_stream *stream = &gzip->stream;
	size_t room = Min(size, INT_MAX);

	stream->next_out = (Bytef *) data;
	stream->avail_out = (uInt) room;
	while (stream->avail_out == room)
	{
		int result;

		CHECK_FOR_INTERRUPTS();
		if (stream->avail_in == 0 && !get_more(gzip))
			return 0;
		gzip->inside = true;
		result = inflate(stream, Z_NO_FLUSH);
		if (result == Z_STREAM_END)
		{
			gzip->inside = false;
			gzip->members++;
			(void) inflateReset(stream);
		}
		else if (result == Z_DATA_ERROR || result == Z_NEED_DICT)
			refuse_data(gzip);
		else if (result != Z_OK && result != Z_BUF_ERROR)
			zlib_failed(stream, result);
	}
	return room - stream->avail_out;
}

static void
gzip_close(Source *source)
{
	release_inflate(source);
}

static const SourceOps gzip_source_ops = {.read = gzip_read,
										  .close = gzip_close};

Source *
gzip_decompressor_create(Source *from)
{
	GzipSource *gzip = (GzipSource *) source_create(&gzip_source_ops,
													sizeof(GzipSource), from);
	int result = inflateInit2(&gzip->stream, GZIP_WINDOW);

	if (result != Z_OK)
		zlib_failed(&gzip->stream, result);
	gzip->active = true;
	gzip->callback.func = release_inflate;
	gzip->callback.arg = gzip;
	MemoryContextRegisterResetCallback(gzip->source.context, &gzip->callback);
	return &gzip->source;
}
