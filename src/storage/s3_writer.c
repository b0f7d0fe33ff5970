/*-------------------------------------------------------------------------
 *
 * s3_writer.c
 *	  The sink that writes an object to S3.
 *
 * An object that fits in one part is sent in one request, a larger one in a
 * multipart upload.  In both cases no object exists under the key before the
 * last request, and the object is looked up after it: S3 can report success
 * for a failure, and a lost answer can hide a success.  A random name in the
 * headers of each upload distinguishes its object from those of other writers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/random.h"
#include "storage/s3_part.h"

/* how often parts that are under way get on while more is written */
#define SERVE_EVERY ((size_t) 64 * 1024)

/*
 * A writer that pauses longer (in milliseconds) does not leave parts half
 * sent: the server would cancel them.
 */
#define SHORT_PAUSE 2000

/* for tidying up after a failure, in milliseconds */
#define ABORT_TIME 1500
#define ABORT_LOOK_AGAIN 300

#define NAME_BYTES 16

typedef struct S3Writer
{
	Sink sink;
	Storage *storage;
	S3Client *client;
	const char *key; /* as the caller knows it */
	const char *full_key;
	const char *content_type;
	const char *mark;
	const char *name; /* of this upload */
	const char *purpose;
	MemoryContext scratch; /* of one request */
	S3Parts *parts;
	S3Part *filling;
	uint64 total;
	size_t unserved;
	TimestampTz written; /* last */
	char *etag;			 /* expected ETag of the object; NULL if unknown */
	bool begun_again;	 /* an answer may be lost, and with it an upload */
	bool maybe_stored;	 /* the request that stores it was sent */
	bool conditional;	 /* ... and would not have replaced another */
} S3Writer;

static void
refuse_to_replace(const S3Writer *writer)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("storage \"%s\": could not %s: the object already exists",
					storage_name(writer->storage), writer->purpose),
			 errhint("Remove the object first if it is no longer needed, or "
					 "use another key: objects are never replaced.")));
}

static S3Request
request_for(const S3Writer *writer, const char *method)
{
	S3Request request = {0};

	request.method = method;
	request.key = writer->full_key;
	request.purpose = writer->purpose;
	return request;
}

/*
 * The headers of a new object.
 */
static List *
object_headers(const S3Writer *writer)
{
	const StorageOptions *options = writer->client->options;
	List *headers =
		list_make2(named_value("content-type", writer->content_type),
				   named_value(UPLOAD_HEADER, writer->name));

	if (writer->mark != NULL)
		headers = lappend(headers, named_value(MARK_HEADER, writer->mark));
	if (options->encryption != NULL)
		headers = lappend(headers, named_value("x-amz-server-side-encryption",
											   options->encryption));
	if (options->kms_key_id != NULL)
		headers = lappend(
			headers, named_value("x-amz-server-side-encryption-aws-kms-key-id",
								 options->kms_key_id));
	if (options->storage_class != NULL)
		headers = lappend(headers, named_value("x-amz-storage-class",
											   options->storage_class));
	return headers;
}

static void
writer_begin(Sink *sink)
{
	S3Writer *writer = (S3Writer *) sink;
	MemoryContext previous = MemoryContextSwitchTo(writer->scratch);
	S3Answer answer;

	if (s3_head(writer->storage, writer->key, writer->purpose, &answer))
		refuse_to_replace(writer);
	MemoryContextSwitchTo(sink->context);
	MemoryContextReset(writer->scratch);
	writer->name = random_name(NAME_BYTES);
	writer->parts =
		s3_parts_create(writer->client, writer->full_key, writer->purpose);
	writer->filling = s3_free_part(writer->parts);
	MemoryContextSwitchTo(previous);
}

/*
 * Begin a multipart upload, when the data does not fit in the first part.
 */
static void
begin_parts(S3Writer *writer)
{
	MemoryContext previous = MemoryContextSwitchTo(writer->scratch);
	S3Request request = request_for(writer, "POST");
	const char *id = NULL;
	bool written = storage_written;
	S3Attempts attempts;
	S3Answer answer;

	request.query = list_make1(named_value("uploads", ""));
	request.headers = object_headers(writer);
	request.body = "";
	request.root = "InitiateMultipartUploadResult";
	request.once = true;
	storage_written = true;
	attempts = s3_perform(writer->client, &request, &answer);
	if (s3_has_refused(&answer, &attempts))
		storage_written = written;
	writer->begun_again = attempts.failures > 0;
	if (answer.ok)
		id = s3_text(answer.document, "UploadId");
	if (id == NULL || id[0] == '\0')
		s3_raise(writer->client, &request, &answer);
	writer->parts->id = MemoryContextStrdup(writer->sink.context, id);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(writer->scratch);
}

static void
writer_write(Sink *sink, const char *data, size_t length)
{
	S3Writer *writer = (S3Writer *) sink;

	if (writer->parts->count > 0)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (TimestampDifferenceExceeds(writer->written, now, SHORT_PAUSE))
			s3_await_parts(writer->parts);
		writer->unserved += length;
		if (writer->unserved >= SERVE_EVERY)
		{
			s3_serve_parts(writer->parts);
			writer->unserved = 0;
		}
		writer->written = GetCurrentTimestamp();
	}
	writer->total += length;
	while (length > 0)
	{
		S3Part *part = writer->filling;
		size_t taken;

		/* a part is sent when the next begins, for the first may be the last */
		if (part->length == part->size)
		{
			if (writer->parts->id == NULL)
				begin_parts(writer);
			s3_send_part(writer->parts, part);
			writer->filling = part = s3_free_part(writer->parts);
			writer->written = GetCurrentTimestamp();
		}
		taken = Min(length, part->size - part->length);
		memcpy(part->data + part->length, data, taken);
		part->length += taken;
		data += taken;
		length -= taken;
	}
}

static bool
has_our_name(const S3Writer *writer, const S3Answer *answer)
{
	const char *name = http_header(&answer->http, UPLOAD_HEADER);

	return name != NULL && strcmp(name, writer->name) == 0;
}

/*
 * Send the request that creates the object.  If an answer was lost, the
 * repeated request may be refused because of its own object.
 */
static void
store(S3Writer *writer, S3Request *request)
{
	List *headers = request->headers;
	bool written = storage_written;
	S3Attempts attempts;
	S3Answer answer;
	S3Answer found;

	writer->maybe_stored = true;
	storage_written = true;
	for (;;)
	{
		writer->conditional = writer->client->conditional;
		request->headers = list_copy(headers);
		if (writer->conditional)
			request->headers =
				lappend(request->headers, named_value("if-none-match", "*"));
		attempts = s3_perform(writer->client, request, &answer);
		if (answer.ok)
			return;
		if (!writer->conditional || strcmp(answer.code, "NotImplemented") != 0)
			break;
		writer->client->conditional = false;
	}
	if (s3_has_refused(&answer, &attempts))
		storage_written = written;
	if ((answer.http.status == 404 || answer.http.status == 412) &&
		s3_head(writer->storage, writer->key, writer->purpose, &found))
	{
		if (has_our_name(writer, &found))
			return;
		writer->maybe_stored = false;
		refuse_to_replace(writer);
	}
	s3_raise(writer->client, request, &answer);
}

static void
store_in_one(S3Writer *writer)
{
	const S3Part *part = writer->filling;
	S3Request request = request_for(writer, "PUT");
	uint8 digest[MD5_LENGTH];

	request.headers = object_headers(writer);
	if (s3_md5(part->data, part->length, digest))
	{
		request.headers =
			lappend(request.headers,
					named_value("content-md5", s3_md5_base64(digest)));
		writer->etag =
			MemoryContextStrdup(writer->sink.context, s3_md5_hex(digest));
	}
	request.body = part->data;
	request.body_length = part->length;
	request.once = true;
	store(writer, &request);
}

static void
store_parts(S3Writer *writer)
{
	S3Request request = request_for(writer, "POST");
	S3Parts *parts = writer->parts;
	const char *etag;

	if (writer->filling->length > 0)
		s3_send_part(parts, writer->filling);
	s3_await_parts(parts);
	etag = s3_composite_etag(parts);
	if (etag != NULL)
		writer->etag = MemoryContextStrdup(writer->sink.context, etag);
	request.query = list_make1(named_value("uploadId", parts->id));
	request.headers =
		list_make1(named_value("content-type", "application/xml"));
	request.body = s3_complete_body(parts);
	request.body_length = strlen(request.body);
	request.root = "CompleteMultipartUploadResult";
	store(writer, &request);
}

static void
raise_stored_object_differs(const S3Writer *writer, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_IO_ERROR),
					errmsg("storage \"%s\": could not %s: the stored object "
						   "is not the one that was written",
						   storage_name(writer->storage), writer->purpose),
					errdetail_internal("%s", detail)));
}

/*
 * Look up the object after writing.  Some servers do not show a new object
 * immediately.
 */
static void
verify(const S3Writer *writer)
{
	S3Request request = request_for(writer, "HEAD");
	int tries = 0;
	const char *mark;
	int64 bytes;
	S3Answer answer;

	while (!s3_head(writer->storage, writer->key, writer->purpose, &answer))
	{
		if (tries >= writer->client->options->retries)
			s3_raise(writer->client, &request, &answer);
		http_sleep(writer->client->http, 100L << Min(tries, 6));
		tries++;
	}
	bytes = s3_content_length(&answer);
	if (bytes < 0 || (uint64) bytes != writer->total)
		raise_stored_object_differs(
			writer, psprintf("The object has %lld bytes instead of %lld.",
							 (long long) bytes, (long long) writer->total));
	if (!s3_etag_fits(&answer, writer->etag))
		raise_stored_object_differs(
			writer, psprintf("The checksum of the object is %s instead of "
							 "\"%s\".",
							 http_header(&answer.http, "etag"), writer->etag));
	mark = http_header(&answer.http, MARK_HEADER);
	if (!has_our_name(writer, &answer) ||
		(writer->mark != NULL &&
		 (mark == NULL || strcmp(mark, writer->mark) != 0)))
		raise_stored_object_differs(writer,
									"The object is from another upload.");
}

/*
 * If the first answer was lost, the id of an upload is unknown.  Once the
 * object exists, any upload of its key that is still open is such a one.
 */
static void
writer_end(Sink *sink)
{
	S3Writer *writer = (S3Writer *) sink;
	MemoryContext previous = MemoryContextSwitchTo(writer->scratch);

	if (writer->parts->id == NULL)
		store_in_one(writer);
	else
		store_parts(writer);
	verify(writer);
	if (writer->begun_again)
		s3_remove_unfinished(writer->storage, writer->key);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(writer->scratch);
}

/*
 * Send one request of a writer that is aborted, within its remaining time.  No
 * interrupt ends the request, and it raises no ERROR.
 */
static bool
last_request(const S3Writer *writer, S3Request *request, TimestampTz until,
			 S3Answer *answer)
{
	long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

	if (left <= 0)
		return false;
	request->last_words = true;
	request->timeout = (int) left;
	s3_perform(writer->client, request, answer);
	return answer->ok;
}

/*
 * Delete the object in case the request that stores it succeeded although its
 * answer was lost.  The server may create the object with a delay, so it is
 * looked up twice.
 */
static void
delete_stored_object(const S3Writer *writer, TimestampTz until)
{
	for (int look = 0; look < 2; look++)
	{
		S3Request head = request_for(writer, "HEAD");
		S3Request remove = request_for(writer, "DELETE");
		S3Answer answer;

		if (look > 0)
			http_sleep(writer->client->http, ABORT_LOOK_AGAIN);
		if (!last_request(writer, &head, until, &answer))
			continue;
		if (has_our_name(writer, &answer))
			last_request(writer, &remove, until, &answer);
		return;
	}
}

/*
 * Leftovers that cannot be removed here are removed by
 * storage_remove_unfinished(), or reported by the comparison of the storage
 * with the ledger.
 */
static void
writer_abort(Sink *sink)
{
	S3Writer *writer = (S3Writer *) sink;
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ABORT_TIME);
	MemoryContext previous;

	if (writer->parts == NULL)
		return;
	HOLD_INTERRUPTS();
	previous = MemoryContextSwitchTo(writer->scratch);
	s3_drop_parts(writer->parts);
	if (writer->parts->id != NULL)
	{
		S3Request request = request_for(writer, "DELETE");
		S3Answer answer;

		request.query = list_make1(named_value("uploadId", writer->parts->id));
		last_request(writer, &request, until, &answer);
	}
	if (writer->maybe_stored)
		delete_stored_object(writer, until);
	MemoryContextSwitchTo(previous);
	RESUME_INTERRUPTS();
}

static const SinkOps writer_ops = {
	.begin = writer_begin,
	.write = writer_write,
	.end = writer_end,
	.abort = writer_abort,
};

Sink *
s3_writer(Storage *storage, const char *key, const char *content_type,
		  const char *mark)
{
	Sink *sink = sink_create(&writer_ops, sizeof(S3Writer), NULL);
	S3Writer *writer = (S3Writer *) sink;
	MemoryContext previous = MemoryContextSwitchTo(sink->context);

	writer->storage = storage;
	writer->client = s3_client(storage);
	writer->key = pstrdup(key);
	writer->full_key = s3_full_key(storage, key);
	writer->content_type = pstrdup(content_type);
	writer->mark = mark != NULL ? pstrdup(mark) : NULL;
	writer->purpose = s3_purpose(storage, "write object", key);
	writer->scratch = AllocSetContextCreate(sink->context, "pgmaint S3 writer",
											ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(previous);
	return sink;
}
