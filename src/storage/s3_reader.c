/*-------------------------------------------------------------------------
 *
 * s3_reader.c
 *	  The source that reads an object from S3.
 *
 * After a broken connection, reading continues at the same byte of the same
 * object.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "storage/s3.h"

typedef struct S3Reader
{
	Source source;
	S3Client *client;
	const char *full_key;
	const char *purpose;
	char *etag; /* as the server writes it; NULL if it has none */
	int64 size;
	int64 offset; /* of what is read next */
	int64 skip;	  /* bytes at the beginning that were read before */
	bool checked; /* the kind of the answer was checked */
	HttpTransfer *transfer;
	MemoryContext scratch; /* of one request */
	S3Attempts attempts;
} S3Reader;

static S3Request
reader_request(const S3Reader *reader)
{
	S3Request request = {0};

	request.method = "GET";
	request.key = reader->full_key;
	request.purpose = reader->purpose;
	request.streamed = true;
	if (reader->etag != NULL)
		request.headers = list_make1(named_value("if-match", reader->etag));
	if (reader->offset > 0)
		request.headers = lappend(
			request.headers,
			named_value("range",
						psprintf("bytes=%lld-", (long long) reader->offset)));
	return request;
}

static void
start_reading(S3Reader *reader)
{
	MemoryContext previous = MemoryContextSwitchTo(reader->scratch);
	S3Request request = reader_request(reader);

	reader->transfer = s3_start(reader->client, &request);
	reader->checked = false;
	reader->skip = 0;
	MemoryContextSwitchTo(previous);
	MemoryContextReset(reader->scratch);
}

/*
 * Request the rest of the object after an answer that ended too early.
 */
static void
try_to_go_on(S3Reader *reader)
{
	MemoryContext previous = MemoryContextSwitchTo(reader->scratch);
	S3Request request = reader_request(reader);
	S3Answer answer;

	http_finish(reader->transfer, &answer.http);
	reader->transfer = NULL;
	s3_read_answer(&answer);
	if (answer.ok)
	{
		/* the answer announced fewer bytes than the object has */
		answer.ok = false;
		answer.code = "IncompleteBody";
	}
	if (!s3_try_again(reader->client, &request, &answer, &reader->attempts))
		s3_raise(reader->client, &request, &answer);
	http_sleep(reader->client->http, reader->attempts.delay);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(reader->scratch);
}

/*
 * The number of bytes to skip: a server that does not support ranges sends the
 * object from its first byte.
 */
static size_t
known_bytes(S3Reader *reader, size_t length)
{
	size_t known;

	if (!reader->checked)
	{
		reader->checked = true;
		if (http_status(reader->transfer) != 206)
			reader->skip = reader->offset;
	}
	known = (size_t) Min((int64) length, reader->skip);
	reader->skip -= (int64) known;
	return known;
}

static size_t
reader_read(Source *source, char *buffer, size_t size)
{
	S3Reader *reader = (S3Reader *) source;

	for (;;)
	{
		size_t length;
		size_t known;

		if (reader->transfer == NULL)
		{
			if (reader->offset == reader->size)
				return 0;
			start_reading(reader);
		}
		length = http_read(reader->transfer, buffer, size);
		if (length == 0)
		{
			if (reader->offset < reader->size)
			{
				try_to_go_on(reader);
				continue;
			}
			http_finish(reader->transfer, NULL);
			reader->transfer = NULL;
			return 0;
		}
		known = known_bytes(reader, length);
		if (known == length)
			continue;
		length -= known;
		if (known > 0)
			memmove(buffer, buffer + known, length);
		if ((int64) length > reader->size - reader->offset)
			ereport(ERROR,
					(errcode(ERRCODE_IO_ERROR),
					 errmsg("storage \"%s\": could not %s: the object has "
							"more than the %lld bytes that "
							"the server announced",
							reader->client->options->name, reader->purpose,
							(long long) reader->size)));
		reader->offset += (int64) length;
		/* progress resets the count of failures */
		memset(&reader->attempts, 0, sizeof(S3Attempts));
		return length;
	}
}

static void
reader_close(Source *source)
{
	S3Reader *reader = (S3Reader *) source;

	if (reader->transfer != NULL)
		http_finish(reader->transfer, NULL);
	reader->transfer = NULL;
}

static const SourceOps reader_ops = {
	.read = reader_read,
	.close = reader_close,
};

Source *
s3_reader(Storage *storage, const char *key)
{
	Source *source = source_create(&reader_ops, sizeof(S3Reader), NULL);
	S3Reader *reader = (S3Reader *) source;
	MemoryContext previous = MemoryContextSwitchTo(source->context);
	S3Request request = {0};
	S3Answer answer;
	const char *etag;

	reader->client = s3_client(storage);
	reader->full_key = s3_full_key(storage, key);
	reader->purpose = s3_purpose(storage, "read object", key);
	reader->scratch = AllocSetContextCreate(
		source->context, "pgmaint S3 reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(reader->scratch);
	request.purpose = reader->purpose;
	if (!s3_head(storage, key, reader->purpose, &answer))
		s3_raise(reader->client, &request, &answer);
	reader->size = s3_content_length(&answer);
	etag = http_header(&answer.http, "etag");
	if (etag != NULL && etag[0] != '\0')
		reader->etag = MemoryContextStrdup(source->context, etag);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(reader->scratch);
	return source;
}
