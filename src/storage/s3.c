/*-------------------------------------------------------------------------
 *
 * s3.c
 *	  Requests for objects in S3 that the parts of the backend share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "storage/s3.h"

S3Client *
s3_client(const Storage *storage)
{
	return storage->state;
}

/*
 * The key of an object on the server.
 */
char *
s3_full_key(const Storage *storage, const char *key)
{
	return psprintf("%s%s", storage->options->prefix, key);
}

/*
 * The attempted operation, for an error message.
 */
char *
s3_purpose(const Storage *storage, const char *verb, const char *key)
{
	if (key == NULL)
		return psprintf("%s bucket \"%s\"", verb, storage->options->bucket);
	return psprintf("%s \"%s%s\" in bucket \"%s\"", verb,
					storage->options->prefix, key, storage->options->bucket);
}

int64
s3_content_length(const S3Answer *answer)
{
	const char *length = http_header(&answer->http, "content-length");

	return length != NULL ? strtoll(length, NULL, 10) : 0;
}

/*
 * Raise the reason why HEAD was refused.  An answer to HEAD has no body, in
 * which S3 names the reason: a wrong clock, a wrong secret and an expired
 * token would look like missing rights.  GET of the same object requires the
 * same rights, and its answer has a body.
 */
static void
raise_refused_head(const Storage *storage, S3Request *request,
				   const S3Answer *answer)
{
	S3Answer told = {0};

	if (answer->http.status == 400 || answer->http.status == 403)
	{
		request->method = "GET";
		request->headers = list_make1(named_value("range", "bytes=0-0"));
		s3_perform(s3_client(storage), request, &told);
		if (!told.ok && (told.foreign || told.document != NULL) &&
			(told.http.status == 400 || told.http.status == 403))
			answer = &told;
	}
	s3_raise(s3_client(storage), request, answer);
}

/*
 * Request the headers of an object; false if it does not exist.
 */
bool
s3_head(const Storage *storage, const char *key, const char *purpose,
		S3Answer *answer)
{
	S3Request request = {0};

	request.method = "HEAD";
	request.key = s3_full_key(storage, key);
	request.purpose = purpose;
	s3_perform(s3_client(storage), &request, answer);
	if (!answer->ok && !s3_is_missing(answer))
		raise_refused_head(storage, &request, answer);
	return answer->ok;
}

/*
 * Parse a time such as "2024-05-24T00:00:00.000Z" or "Fri, 24 May 2024
 * 00:00:00 GMT".
 */
TimestampTz
s3_time(const char *text)
{
	size_t length = strlen(text);

	if (length > 4 && strcmp(text + length - 4, " GMT") == 0)
		text = psprintf("%.*s +00", (int) length - 4, text);
	return DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}
