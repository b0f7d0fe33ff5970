/*-------------------------------------------------------------------------
 *
 * s3_answer.c
 *	  Classifies answers of S3: success, refusal, a temporary failure, or an
 *	  answer of another server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/s3_answer.h"

/*
 * The error code that corresponds to a status without a body.
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
 * Parse an answer.  S3 may send status 200 before a long request ends, and
 * report an error in the body.
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
 * Servers of S3 identify themselves in the headers of most answers.
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
 * Can this be the answer of an S3 server?  A proxy, a captive portal or a web
 * server at a wrong endpoint answers too, and often with status 200: its
 * answer must not be taken for an empty bucket or a deleted object.
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
 * Classify an answer that is not from an S3 server as a failure.
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
 * Does the answer say that an object, an upload or a bucket does not exist?
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
 * Is the failure temporary, so that the same request may succeed later?
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
 * Did S3 itself refuse the request without changing anything?  Uncertain is a
 * request that was sent again, as its first answer may have been lost; a
 * refusal because of an existing object, which the request itself may have
 * created; and an answer that may come from a proxy.  The request must have
 * been sent with "once".
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
