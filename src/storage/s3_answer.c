/*-------------------------------------------------------------------------
 *
 * s3_answer.c
 *	  What an answer of S3 means: success, refusal, a failure that passes, or
 *	  something else than S3 that has answered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/s3_answer.h"

/*
 * What S3 would have said, had it said more than a status.
 */
static const char *
code_of_status(int status)
{
	switch (status)
	{
		case 0:
			return "";
		case 301:
		case 307:
			return "PermanentRedirect";
		case 403:
			return "AccessDenied";
		case 404:
			return "NotFound";
		case 412:
			return "PreconditionFailed";
		case 501:
			return "NotImplemented";
		case 503:
			return "ServiceUnavailable";
		default:
			return psprintf("status %d", status);
	}
}

/*
 * Look into an answer that has come.  S3 may say 200 before it knows how a
 * long request ends, and tell of an error afterwards.
 */
void
s3_read_answer(S3Answer *answer)
{
	const HttpResponse *http = &answer->http;

	answer->document = s3_parse(http->body, http->length);
	answer->ok = http->status >= 200 && http->status < 300;
	answer->foreign = false;
	answer->code = NULL;
	if (answer->document != NULL &&
		strcmp(answer->document->name, "Error") == 0)
	{
		answer->ok = false;
		answer->code = s3_text(answer->document, "Code");
	}
	if (!answer->ok && (answer->code == NULL || answer->code[0] == '\0'))
		answer->code = code_of_status(http->status);
}

/*
 * S3 and its like name themselves in the headers of most answers.
 */
static bool
has_header_of_s3(const HttpResponse *http)
{
	ListCell *cell;

	foreach (cell, http->headers)
	{
		const HttpHeader *header = lfirst(cell);

		if (strncmp(header->name, "x-amz-", 6) == 0 ||
			strncmp(header->name, "x-goog-", 7) == 0)
			return true;
	}
	return false;
}

static bool
is_html(const HttpResponse *http)
{
	const char *type = http_header(http, "content-type");

	return type != NULL && pg_strncasecmp(type, "text/html", 9) == 0;
}

/*
 * Whether an answer may be one of an S3 server.  A proxy, a captive portal or a
 * web server at a wrong endpoint answers, too, and often with 200: what it says
 * must be taken neither for an empty bucket nor for an object that was deleted.
 */
static bool
may_be_from_s3(const S3Request *request, const S3Answer *answer)
{
	const HttpResponse *http = &answer->http;
	bool is_error = answer->document != NULL &&
					strcmp(answer->document->name, "Error") == 0;

	if (http->status == 0 || http->status >= 500 || is_error ||
		(answer->ok && request->streamed))
		return true;
	if (answer->ok && request->root != NULL)
		return answer->document != NULL &&
			   strcmp(answer->document->name, request->root) == 0;
	if (has_header_of_s3(http))
		return true;
	if (strcmp(request->method, "DELETE") == 0)
		return http->status == 204 || (!answer->ok && http->status != 404);
	if (strcmp(request->method, "HEAD") == 0 && answer->ok)
		return http_header(http, "etag") != NULL &&
			   http_header(http, "last-modified") != NULL && !is_html(http);
	return !is_html(http);
}

/*
 * Take what is no answer of an S3 server for a failure.
 */
void
s3_judge_answer(const S3Request *request, S3Answer *answer)
{
	if (may_be_from_s3(request, answer))
		return;
	answer->ok = false;
	answer->foreign = true;
	answer->code = "";
}

/*
 * Whether S3 says that an object, an upload or a bucket is not there.
 */
bool
s3_is_missing(const S3Answer *answer)
{
	return answer->http.status == 404 && !answer->foreign;
}

/*
 * Whether a code is one of a list, which ends with NULL.
 */
bool
s3_is_one_of(const char *code, const char *const *codes)
{
	for (; *codes != NULL; codes++)
		if (strcmp(code, *codes) == 0)
			return true;
	return false;
}

/*
 * What has to do with the moment and not with the request.
 */
bool
s3_is_passing(const S3Answer *answer)
{
	static const char *const passing[] = {"SlowDown",
										  "InternalError",
										  "ServiceUnavailable",
										  "RequestTimeout",
										  "RequestTimeoutException",
										  "Throttling",
										  "ThrottlingException",
										  "RequestLimitExceeded",
										  "BandwidthLimitExceeded",
										  "OperationAborted",
										  "ConditionalRequestConflict",
										  "IncompleteBody",
										  "BadDigest",
										  "XAmzContentSHA256Mismatch",
										  NULL};

	if (strcmp(answer->code, "NotImplemented") == 0)
		return false;
	return answer->http.retryable || s3_is_one_of(answer->code, passing);
}

/*
 * Whether S3 itself has refused a request, so that it changed nothing.  Uncertain
 * is a request that had to be sent again, as its first answer may have been lost,
 * a refusal for what is there, which the request itself may have put there, and
 * an answer that a proxy may have given in the server's place.  The request must
 * have been sent with "once".
 */
bool
s3_has_refused(const S3Answer *answer, const S3Attempts *attempts)
{
	int status = answer->http.status;

	return !answer->ok && attempts->failures == 0 && !s3_is_passing(answer) &&
		   status >= 400 && status < 500 && status != 404 && status != 409 &&
		   status != 412 && answer->document != NULL &&
		   strcmp(answer->document->name, "Error") == 0;
}
