/*-------------------------------------------------------------------------
 *
 * s3_part.c
 *	  The parts of an upload, several of which are sent at a time.
 *
 * Each part keeps its buffer until the server has accepted the part, since it
 * may have to be sent again.  The total size of the buffers is limited: when
 * parts are larger, fewer are sent at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/s3_part.h"

/* all buffers of an upload together, unless one alone is larger */
#define BUFFER_LIMIT ((size_t) 48 * 1024 * 1024)

/* so many parts have the size that was asked for; then it grows by an eighth */
#define FIRST_PARTS 2000
#define PARTS_OF_A_SIZE 200
#define LARGEST_PART ((size_t) 1000 * 1024 * 1024)

S3Parts *
s3_parts_create(S3Client *client, const char *key, const char *purpose)
{
	S3Parts *parts = palloc0(sizeof(S3Parts));

	parts->client = client;
	parts->key = key;
	parts->purpose = purpose;
	parts->context = CurrentMemoryContext;
	parts->scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint S3 part", ALLOCSET_DEFAULT_SIZES);
	parts->slot_count = client->options->parallel + 1;
	parts->slots = palloc0(sizeof(S3Part) * parts->slot_count);
	return parts;
}

/*
 * The size of a part, counted from 1: small at first, and large enough later
 * for terabytes in ten thousand parts.
 */
size_t
s3_part_size(const S3Client *client, int number)
{
	size_t size = client->options->part_size;

	for (int i = FIRST_PARTS; i < number && size < LARGEST_PART;
		 i += PARTS_OF_A_SIZE)
		size += size / 8;
	return Min(size, LARGEST_PART);
}

/*
 * Allocate the entry of another part.
 */
static void
note_part(S3Parts *parts, S3Part *part)
{
	MemoryContext previous = MemoryContextSwitchTo(parts->context);

	if (parts->count == MOST_PARTS)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("storage \"%s\": could not %s: the object has more than "
					"%d parts",
					parts->client->options->name, parts->purpose, MOST_PARTS),
			 errhint(
				 "Raise the option \"part_size\" of the foreign server.")));
	if (parts->etags == NULL)
	{
		parts->etags = palloc0(sizeof(char *) * MOST_PARTS);
		parts->digests = palloc0(sizeof(*parts->digests) * MOST_PARTS);
		parts->has_digests = true;
	}
	part->number = ++parts->count;
	MemoryContextSwitchTo(previous);
}

static void
start_part(S3Parts *parts, S3Part *part)
{
	MemoryContext previous = MemoryContextSwitchTo(parts->scratch);
	S3Request request = {0};

	request.method = "PUT";
	request.key = parts->key;
	request.query =
		list_make2(named_value("partNumber", psprintf("%d", part->number)),
				   named_value("uploadId", parts->id));
	request.headers =
		list_make1(named_value("content-type", "application/octet-stream"));
	if (parts->has_digests)
		request.headers = lappend(
			request.headers,
			named_value("content-md5",
						s3_md5_base64(parts->digests[part->number - 1])));
	request.body = part->data;
	request.body_length = part->length;
	request.payload_hash = part->sha256;
	part->transfer = s3_start(parts->client, &request);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(parts->scratch);
}

/*
 * Start sending a part.
 */
void
s3_send_part(S3Parts *parts, S3Part *part)
{
	note_part(parts, part);
	sha256_hex(part->data, part->length, part->sha256);
	if (!s3_md5(part->data, part->length, parts->digests[part->number - 1]))
		parts->has_digests = false;
	memset(&part->attempts, 0, sizeof(S3Attempts));
	start_part(parts, part);
}

/*
 * Process the answer to a part.  A part with a wrong checksum is sent again,
 * as after a temporary failure.
 */
static void
process_part_answer(S3Parts *parts, S3Part *part)
{
	S3Request request = {0};
	S3Answer answer;
	const char *etag;
	char *expected = NULL;

	http_finish(part->transfer, &answer.http);
	part->transfer = NULL;
	s3_read_answer(&answer);
	request.purpose = parts->purpose;
	etag = http_header(&answer.http, "etag");
	if (parts->has_digests)
		expected = s3_md5_hex(parts->digests[part->number - 1]);
	if (answer.ok && (etag == NULL || !s3_etag_fits(&answer, expected)))
	{
		answer.ok = false;
		answer.code = "BadDigest";
	}
	if (answer.ok)
	{
		parts->etags[part->number - 1] =
			MemoryContextStrdup(parts->context, etag);
		part->number = 0;
		part->length = 0;
	}
	else if (s3_try_again(parts->client, &request, &answer, &part->attempts))
		part->start_at =
			GetCurrentTimestamp() + (TimestampTz) part->attempts.delay * 1000;
	else
		s3_raise(parts->client, &request, &answer);
}

static bool
process_part_answers(S3Parts *parts)
{
	MemoryContext previous = MemoryContextSwitchTo(parts->scratch);
	bool any = false;

	for (int i = 0; i < parts->slot_count; i++)
		if (parts->slots[i].transfer != NULL &&
			http_done(parts->slots[i].transfer))
		{
			process_part_answer(parts, &parts->slots[i]);
			any = true;
		}
	MemoryContextSwitchTo(previous);
	MemoryContextReset(parts->scratch);
	return any;
}

/*
 * Continue the transfer of parts for at most this many milliseconds, or until
 * one of them is answered.
 */
static void
serve(S3Parts *parts, long timeout)
{
	TimestampTz now = GetCurrentTimestamp();

	if (process_part_answers(parts))
		timeout = 0;
	for (int i = 0; i < parts->slot_count; i++)
	{
		S3Part *part = &parts->slots[i];

		if (part->number == 0 || part->transfer != NULL)
			continue;
		if (part->start_at <= now)
			start_part(parts, part);
		else
			timeout = Min(timeout, (long) ((part->start_at - now) / 1000) + 1);
	}
	http_wait(parts->client->http, timeout);
	process_part_answers(parts);
}

/* looks again at least that often, in milliseconds */
#define LONG_WAIT 60000

/*
 * Continue transfers without waiting.
 */
void
s3_serve_parts(S3Parts *parts)
{
	serve(parts, 0);
}

static int
parts_under_way(const S3Parts *parts)
{
	int count = 0;

	for (int i = 0; i < parts->slot_count; i++)
		if (parts->slots[i].number != 0)
			count++;
	return count;
}

/*
 * Wait until the server has accepted all parts.
 */
void
s3_await_parts(S3Parts *parts)
{
	while (parts_under_way(parts) > 0)
		serve(parts, LONG_WAIT);
}

/*
 * A free part, with a buffer of this size if there is one.  Free parts with
 * buffers of another size are released.
 */
static S3Part *
choose_buffer(S3Parts *parts, size_t size)
{
	S3Part *chosen = NULL;

	for (int i = 0; i < parts->slot_count; i++)
	{
		S3Part *part = &parts->slots[i];

		if (part->number != 0)
			continue;
		if (part->data != NULL && part->size != size)
		{
			pfree(part->data);
			part->data = NULL;
		}
		if (chosen == NULL || (chosen->data == NULL && part->data != NULL))
			chosen = part;
	}
	Assert(chosen != NULL);
	return chosen;
}

/*
 * A part for the next data, when the limit allows one.
 */
S3Part *
s3_free_part(S3Parts *parts)
{
	size_t size = s3_part_size(parts->client, parts->count + 1);
	int most = (int) Max(BUFFER_LIMIT / size, 1);
	S3Part *part;

	while (parts_under_way(parts) >= Min(most, parts->slot_count))
		serve(parts, LONG_WAIT);
	part = choose_buffer(parts, size);
	if (part->data == NULL)
	{
		part->data = MemoryContextAlloc(parts->context, size);
		part->size = size;
	}
	part->length = 0;
	return part;
}

/*
 * Cancel all transfers of parts.
 */
void
s3_drop_parts(S3Parts *parts)
{
	for (int i = 0; i < parts->slot_count; i++)
	{
		S3Part *part = &parts->slots[i];

		if (part->transfer != NULL)
			http_finish(part->transfer, NULL);
		part->transfer = NULL;
		part->number = 0;
	}
}

/*
 * The list of the parts, which completes an upload.
 */
char *
s3_complete_body(const S3Parts *parts)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(
		&text,
		"<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int i = 0; i < parts->count; i++)
	{
		appendStringInfo(&text, "<Part><PartNumber>%d</PartNumber><ETag>",
						 i + 1);
		for (const char *c = parts->etags[i]; *c != '\0'; c++)
		{
			if (*c == '"')
				appendStringInfoString(&text, "&quot;");
			else if (*c != '<' && *c != '&')
				appendStringInfoChar(&text, *c);
		}
		appendStringInfoString(&text, "</ETag></Part>");
	}
	appendStringInfoString(&text, "</CompleteMultipartUpload>");
	return text.data;
}

/*
 * The ETag that S3 computes from the checksums of all parts; NULL if it cannot
 * be computed here.
 */
char *
s3_composite_etag(const S3Parts *parts)
{
	uint8 digest[MD5_LENGTH];

	if (!parts->has_digests ||
		!s3_md5((const char *) parts->digests,
				(size_t) parts->count * MD5_LENGTH, digest))
		return NULL;
	return psprintf("%s-%d", s3_md5_hex(digest), parts->count);
}
