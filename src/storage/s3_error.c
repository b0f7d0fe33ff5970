/*-------------------------------------------------------------------------
 *
 * s3_error.c
 *	  Error messages for requests to S3 that failed.
 *
 * No message contains an access key, a token or a signature.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <time.h>

#include "pgtime.h"

#include "storage/s3_request.h"

typedef struct S3Refusal
{
	const char *code;
	int sqlstate;
	const char *words;
	const char *hint;
} S3Refusal;

#define FULL_HINT "Free space in the bucket, or raise the quota of the bucket."
#define ENCRYPTION_HINT \
	"Correct the options \"encryption\" and \"kms_key_id\" of the foreign server, and check that the access key may use the KMS key."
#define RIGHTS_HINT \
	"Grant the access key the rights s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket and s3:ListBucketMultipartUploads on this bucket and prefix."

#define CLOCK_HINT \
	"Check the clock of this machine with \"timedatectl status\"; if it is right, the clock of the S3 server is wrong."

/* seconds: errors name a larger difference of clocks; S3 refuses above 900 */
#define CLOCKS_DIFFER 300

static const S3Refusal refusals[] = {
	{"NoSuchBucket", ERRCODE_UNDEFINED_OBJECT, "the bucket does not exist",
	 "Create the bucket, or correct the option \"url\" of the foreign server."},
	{"InvalidBucketName", ERRCODE_INVALID_NAME,
	 "the name of the bucket is not valid",
	 "Correct the option \"url\" of the foreign server."},
	{"NoSuchKey", ERRCODE_UNDEFINED_OBJECT, "the object does not exist", NULL},
	{"NotFound", ERRCODE_UNDEFINED_OBJECT,
	 "the object or the bucket does not exist", NULL},
	{"NoSuchUpload", ERRCODE_UNDEFINED_OBJECT,
	 "the upload was aborted by another client",
	 "Check which client or lifecycle rule aborts unfinished uploads in this "
	 "bucket, and whether it waits long enough."},
	{"PreconditionFailed", ERRCODE_OBJECT_IN_USE,
	 "the object was changed by another client", NULL},
	{"AccessDenied", ERRCODE_INSUFFICIENT_PRIVILEGE, "access is denied",
	 RIGHTS_HINT},
	{"AllAccessDisabled", ERRCODE_INSUFFICIENT_PRIVILEGE,
	 "all access to the bucket is disabled", NULL},
	{"AccountProblem", ERRCODE_INSUFFICIENT_PRIVILEGE,
	 "there is a problem with the account", NULL},
	{"InvalidAccessKeyId", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the server does not know the access key",
	 "Correct the option \"access_key_id\" of the user mapping, or the "
	 "source of the access key."},
	{"SignatureDoesNotMatch", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the secret access key does not belong to the access key",
	 "Correct the option \"secret_access_key\" of the user mapping, or the "
	 "source of the access key; some servers also report this error when "
	 "the region is wrong."},
	{"ExpiredToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the access key has expired", "Renew the temporary credentials."},
	{"InvalidToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the session token is not valid", "Renew the temporary credentials."},
	{"RequestTimeTooSkewed", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the clocks of this machine and of the server differ too much",
	 CLOCK_HINT},
	{"QuotaExceeded", ERRCODE_DISK_FULL, "the bucket is full", FULL_HINT},
	{"InsufficientCapacity", ERRCODE_DISK_FULL, "the server is full",
	 FULL_HINT},
	{"XMinioStorageFull", ERRCODE_DISK_FULL, "the server is full", FULL_HINT},
	{"XMinioAdminBucketQuotaExceeded", ERRCODE_DISK_FULL, "the bucket is full",
	 FULL_HINT},
	{"EntityTooLarge", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "the object or a part of it is larger than the server accepts", NULL},
	{"EntityTooSmall", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "a part is smaller than the server accepts",
	 "Raise the option \"part_size\" of the foreign server."},
	{"KeyTooLongError", ERRCODE_NAME_TOO_LONG, "the key is too long", NULL},
	{"InvalidStorageClass", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server does not know the storage class",
	 "Correct the option \"storage_class\" of the foreign server."},
	{"InvalidArgument", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server does not accept a value in the request",
	 "Check whether the server supports the values of the options "
	 "\"storage_class\", \"encryption\" and \"kms_key_id\" of the foreign "
	 "server."},
	{"InvalidObjectState", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	 "the storage class of the object does not allow reading",
	 "Restore the object from its storage class first, such as GLACIER or "
	 "DEEP_ARCHIVE."},
	{"NotImplemented", ERRCODE_FEATURE_NOT_SUPPORTED,
	 "the server does not support the request",
	 "Remove the options \"encryption\" and \"storage_class\" of the foreign "
	 "server if the server does not support them."},
	{"InvalidEncryptionAlgorithmError", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server does not support this encryption", ENCRYPTION_HINT},
	{"BadDigest", ERRCODE_IO_ERROR,
	 "the server received other data than was sent", NULL},
	{"XAmzContentSHA256Mismatch", ERRCODE_IO_ERROR,
	 "the server received other data than was sent", NULL},
	{"SlowDown", ERRCODE_CONNECTION_FAILURE, "the server is too busy",
	 "Try again later, or lower the option \"parallel\" of the foreign server."},
	{"ServiceUnavailable", ERRCODE_CONNECTION_FAILURE,
	 "the server is not available", "Try again later."},
};

static const S3Refusal *
find_refusal(const char *code)
{
	static const S3Refusal kms = {
		"", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
		"the server cannot encrypt the object with the KMS key",
		ENCRYPTION_HINT};

	for (int i = 0; i < lengthof(refusals); i++)
		if (strcmp(refusals[i].code, code) == 0)
			return &refusals[i];
	return strncmp(code, "KMS.", 4) == 0 ? &kms : NULL;
}

/*
 * The region of the bucket, if the request was sent to another region.
 */
static const char *
other_region(const S3Client *client, const S3Answer *answer)
{
	static const char *const codes[] = {"AuthorizationHeaderMalformed",
										"PermanentRedirect",
										"TemporaryRedirect",
										"IllegalLocationConstraintException",
										"AuthorizationQueryParametersError",
										"InvalidRegion"};
	const char *region = http_header(&answer->http, "x-amz-bucket-region");
	bool about_region =
		answer->http.status == 301 || answer->http.status == 400;

	for (int i = 0; i < lengthof(codes); i++)
		about_region |= strcmp(answer->code, codes[i]) == 0;
	if (!about_region)
		return NULL;
	if (region == NULL)
		region = s3_text(answer->document, "Region");
	if (region == NULL || region[0] == '\0' ||
		strcmp(region, client->region) == 0)
		return NULL;
	return region;
}

/*
 * May the message of the server be shown?  A server that repeats the request
 * in its message would show secrets.
 */
static bool
may_be_shown(const S3Client *client, const char *message)
{
	const char *token = client->signing.session_token;

	return message != NULL && message[0] != '\0' &&
		   strstr(message, "Signature=") == NULL &&
		   (token == NULL || strstr(message, token) == NULL);
}

/*
 * The answer of the server as it was received, for the detail of the error.
 */
static char *
answer_in_detail(const S3Client *client, const S3Answer *answer)
{
	const char *message = s3_text(answer->document, "Message");
	const char *id = http_header(&answer->http, "x-amz-request-id");
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s%s answered with status %d", client->scheme,
					 client->host, answer->http.status);
	if (s3_text(answer->document, "Code") != NULL)
		appendStringInfo(&text, ", code %s", answer->code);
	if (may_be_shown(client, message))
		appendStringInfo(&text, ": %s", message);
	if (id == NULL)
		id = s3_text(answer->document, "RequestId");
	if (id != NULL)
		appendStringInfo(&text, " (request %s)", id);
	return text.data;
}

/*
 * The time of an answer, "Fri, 24 May 2024 00:00:00 GMT", in seconds; false when
 * it has none.
 */
static bool
time_of_answer(const S3Answer *answer, pg_time_t *seconds)
{
	const char *date = http_header(&answer->http, "date");

	*seconds = date == NULL ? -1 : (pg_time_t) curl_getdate(date, NULL);
	return *seconds >= 0;
}

static char *
utc_text(pg_time_t seconds)
{
	char text[64];

	pg_strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC",
				pg_gmtime(&seconds));
	return pstrdup(text);
}

/*
 * The difference between this machine's clock and the server's as text; NULL
 * if it is too small to matter, or the server did not send its time.
 */
static char *
compare_clocks(const S3Answer *answer)
{
	pg_time_t here = (pg_time_t) time(NULL);
	pg_time_t there;
	int64 ahead;
	int64 by;

	if (!time_of_answer(answer, &there))
		return NULL;
	ahead = (int64) (here - there);
	by = ahead < 0 ? -ahead : ahead;
	if (by < CLOCKS_DIFFER)
		return NULL;
	return psprintf(
		"the clock of this machine is %lld:%02lld:%02lld %s the server's, "
		"which says %s",
		(long long) (by / SECS_PER_HOUR),
		(long long) (by % SECS_PER_HOUR / SECS_PER_MINUTE),
		(long long) (by % SECS_PER_MINUTE), ahead > 0 ? "ahead of" : "behind",
		utc_text(there));
}

static const char *
hint_for_failure(const char *failure)
{
	if (strstr(failure, "subject name") != NULL)
		return "Set the option \"endpoint\" of the foreign server to the "
			   "name in the server's certificate; if the certificate does "
			   "not cover the names of buckets, set \"addressing\" to 'path'.";
	if (strstr(failure, "certificate") != NULL)
		return "Set the option \"ca_file\" of the foreign server to a file "
			   "with the certificate of the authority that signed the "
			   "server's certificate.";
	return "Check whether the option \"endpoint\" of the foreign server is "
		   "right, and whether the server is reachable.";
}

/*
 * Raise an ERROR for an answer that is not from an S3 server.
 */
static void
raise_foreign(const S3Client *client, const S3Request *request,
			  const S3Answer *answer)
{
	const char *type = http_header(&answer->http, "content-type");

	ereport(
		ERROR,
		(errcode(ERRCODE_PROTOCOL_VIOLATION),
		 errmsg("storage \"%s\": could not %s: the answer is not from an S3 "
				"server",
				client->options->name, request->purpose),
		 errdetail("Endpoint %s%s answered with status %d and %s%s%s.",
				   client->scheme, client->host, answer->http.status,
				   type != NULL ? "content type \"" : "no content type",
				   type != NULL ? type : "", type != NULL ? "\"" : ""),
		 errhint(
			 "Correct the option \"endpoint\" of the foreign server, and check whether a proxy or a captive "
			 "portal answers instead: curl -i %s%s",
			 client->scheme, client->host)));
}

/*
 * Raise an ERROR for a request without an answer or with an incomplete one.
 */
static void
raise_failure(const S3Client *client, const S3Request *request,
			  const S3Answer *answer)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("storage \"%s\": could not %s: %s", client->options->name,
					request->purpose, answer->http.error),
			 errdetail("The server is %s%s.", client->scheme, client->host),
			 errhint("%s", hint_for_failure(answer->http.error))));
}

/*
 * Raise the ERROR of a request that failed.
 */
void
s3_raise(const S3Client *client, const S3Request *request,
		 const S3Answer *answer)
{
	const S3Refusal *refusal;
	const char *region;
	const char *words;
	const char *hint;
	char *clocks = NULL;
	char *detail;

	if (answer->http.status == 0)
		raise_failure(client, request, answer);
	if (answer->foreign)
		raise_foreign(client, request, answer);
	region = other_region(client, answer);
	if (region != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg(
				 "storage \"%s\": could not %s: the bucket is in region %s, the server says %s",
				 client->options->name, request->purpose, region,
				 client->region),
			 errdetail_internal("%s", answer_in_detail(client, answer)),
			 errhint(
				 "Set the option \"region\" of the foreign server to '%s'.",
				 region)));
	refusal = find_refusal(answer->code);
	words =
		refusal != NULL ? refusal->words
		: answer->http.status >= 500
			? psprintf("the server failed with status %d", answer->http.status)
			: psprintf("the server refused the request with status %d",
					   answer->http.status);
	hint = refusal != NULL ? refusal->hint : NULL;
	detail = answer_in_detail(client, answer);
	if (answer->http.status == 400 || answer->http.status == 403)
		clocks = compare_clocks(answer);
	if (clocks != NULL && strcmp(answer->code, "RequestTimeTooSkewed") == 0)
		words = clocks;
	else if (clocks != NULL)
		/* some servers call it something else */
		detail = psprintf("%s; %s", detail, clocks);
	ereport(ERROR,
			(errcode(refusal != NULL			  ? refusal->sqlstate
					 : answer->http.status >= 500 ? ERRCODE_CONNECTION_FAILURE
												  : ERRCODE_IO_ERROR),
			 errmsg("storage \"%s\": could not %s: %s", client->options->name,
					request->purpose, words),
			 errdetail_internal("%s", detail),
			 hint != NULL ? errhint("%s", hint) : 0));
}
