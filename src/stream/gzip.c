/*-------------------------------------------------------------------------
 *
 * gzip.c
 *	  gzip, as gunzip reads it and as anybody writes it.
 *
 * The memory is zlib's own, by malloc: it never calls us, so no ERROR can go
 * through it.  It is released with the chain, and with the chain's memory
 * where nobody has closed the chain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <zlib.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "stream/codecs.h"

/* the largest window, and a header as gzip writes it, without name or time */
#define GZIP_WINDOW (MAX_WBITS + 16)

/* zlib's own choice */
#define GZIP_MEMORY 8

/*
 * Level 3 is zlib's last that takes the first match that it finds.  It looks
 * for longer ones here: rows of a table have much in common, and what is found
 * at once need not be looked at byte by byte.
 */
#define TUNED_LEVEL 3
#define GOOD_LENGTH 4
#define MAX_INSERTED 32
#define NICE_LENGTH 128
#define MAX_CHAIN 24

typedef struct GzipSink
{
	Sink sink;
	int level;
	z_stream stream;
	bool active; /* there is memory of zlib's */
	MemoryContextCallback callback;
	char buffer[CODEC_BUFFER_SIZE];
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

/*
 * zlib has failed in a way that does not depend on the data.
 */
static void
zlib_failed(const z_stream *stream, int result)
{
	ereport(ERROR,
			(errcode(result == Z_MEM_ERROR ? ERRCODE_OUT_OF_MEMORY
										   : ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compress or decompress with gzip: %s",
					stream->msg != NULL ? stream->msg : zError(result))));
}

static void
release_deflate(void *arg)
{
	GzipSink *gzip = arg;

	if (gzip->active)
		(void) deflateEnd(&gzip->stream);
	gzip->active = false;
}

static void
gzip_begin(Sink *sink)
{
	GzipSink *gzip = (GzipSink *) sink;
	int result = deflateInit2(&gzip->stream, gzip->level, Z_DEFLATED,
							  GZIP_WINDOW, GZIP_MEMORY, Z_DEFAULT_STRATEGY);

	if (result != Z_OK)
		zlib_failed(&gzip->stream, result);
	gzip->active = true;
	if (gzip->level == TUNED_LEVEL)
		(void) deflateTune(&gzip->stream, GOOD_LENGTH, MAX_INSERTED,
						   NICE_LENGTH, MAX_CHAIN);
	gzip->stream.next_out = (Bytef *) gzip->buffer;
	gzip->stream.avail_out = sizeof(gzip->buffer);
}

/*
 * Hand on what has been compressed.
 */
static void
hand_on(GzipSink *gzip)
{
	size_t length = sizeof(gzip->buffer) - gzip->stream.avail_out;

	gzip->stream.next_out = (Bytef *) gzip->buffer;
	gzip->stream.avail_out = sizeof(gzip->buffer);
	if (length > 0)
		sink_write(gzip->sink.next, gzip->buffer, length);
}

static void
gzip_write(Sink *sink, const char *data, size_t length)
{
	GzipSink *gzip = (GzipSink *) sink;

	while (length > 0)
	{
		/* zlib counts with an int, and nobody wants to wait that long */
		size_t piece = Min(length, CODEC_BUFFER_SIZE);

		gzip->stream.next_in = (Bytef *) unconstify(char *, data);
		gzip->stream.avail_in = (uInt) piece;
		while (gzip->stream.avail_in > 0)
		{
			int result;

			CHECK_FOR_INTERRUPTS();
			result = deflate(&gzip->stream, Z_NO_FLUSH);
			if (result != Z_OK)
				zlib_failed(&gzip->stream, result);
			if (gzip->stream.avail_out == 0)
				hand_on(gzip);
		}
		data += piece;
		length -= piece;
	}
}

static void
gzip_end(Sink *sink)
{
	GzipSink *gzip = (GzipSink *) sink;
	int result;

	gzip->stream.next_in = NULL;
	gzip->stream.avail_in = 0;
	do
	{
		CHECK_FOR_INTERRUPTS();
		result = deflate(&gzip->stream, Z_FINISH);
		if (result != Z_OK && result != Z_STREAM_END)
			zlib_failed(&gzip->stream, result);
		hand_on(gzip);
	} while (result != Z_STREAM_END);
	release_deflate(gzip);
}

static void
gzip_abort(Sink *sink)
{
	release_deflate(sink);
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
	gzip->callback.func = release_deflate;
	gzip->callback.arg = gzip;
	MemoryContextRegisterResetCallback(gzip->sink.context, &gzip->callback);
	return &gzip->sink;
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
						? errmsg("gzip data is followed by something else")
						: errmsg("gzip data is damaged"),
					gzip->stream.msg != NULL
						? errdetail("zlib says: %s.", gzip->stream.msg)
						: 0));
}

/*
 * Get more of what is compressed; false if there is none, and should be none.
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
 * Get more bytes to read.  There may be several members, one after the other,
 * as when files of gzip's are put together.
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
