/*-------------------------------------------------------------------------
 *
 * s3_error.c
 *	  What S3 refuses, in a person's words.
 *
 * Nothing of what was signed or sent is repeated: no key, token or signature.
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

#define FULL_HINT "Make room in the bucket, or have its quota raised."
#define ENCRYPTION_HINT \
	"Correct the options \"encryption\" and \"kms_key_id\" of the foreign server, and see whether the access key may use that key."
#define RIGHTS_HINT \
	"The access key needs the rights s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket and s3:ListBucketMultipartUploads on this bucket and prefix."

#define CLOCK_HINT \
	"Set the clock of this machine: see \"timedatectl status\"; if it is right, the server's clock is wrong."

/* seconds: of clocks that differ by more, it is told; S3 refuses after 900 */
#define CLOCKS_DIFFER 300

static const S3Refusal refusals[] = {
	{"NoSuchBucket", ERRCODE_UNDEFINED_OBJECT, "there is no such bucket",
	 "Create the bucket, or correct the option \"url\" of the foreign server."},
	{"InvalidBucketName", ERRCODE_INVALID_NAME, "this is no name for a bucket",
	 "Correct the option \"url\" of the foreign server."},
	{"NoSuchKey", ERRCODE_UNDEFINED_OBJECT, "there is no such object", NULL},
	{"NotFound", ERRCODE_UNDEFINED_OBJECT,
	 "there is no such object, or no such bucket", NULL},
	{"NoSuchUpload", ERRCODE_UNDEFINED_OBJECT,
	 "the upload was aborted by somebody else",
	 "See what aborts unfinished uploads in this bucket, and whether it waits long enough."},
	{"PreconditionFailed", ERRCODE_OBJECT_IN_USE,
	 "the object has changed meanwhile", NULL},
	{"AccessDenied", ERRCODE_INSUFFICIENT_PRIVILEGE, "access is denied",
	 RIGHTS_HINT},
	{"AllAccessDisabled", ERRCODE_INSUFFICIENT_PRIVILEGE,
	 "all access to the bucket is disabled", NULL},
	{"AccountProblem", ERRCODE_INSUFFICIENT_PRIVILEGE,
	 "there is a problem with the account", NULL},
	{"InvalidAccessKeyId", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the server does not know the access key",
	 "Correct the option \"access_key_id\" of the user mapping, or the place that it comes from."},
	{"SignatureDoesNotMatch", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the secret access key does not belong to the access key",
	 "Correct the option \"secret_access_key\" of the user mapping, or the place that it comes from; some servers also say this when the region is wrong."},
	{"ExpiredToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the access key has expired", "Renew the temporary credentials."},
	{"InvalidToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the session token is not valid", "Renew the temporary credentials."},
	{"RequestTimeTooSkewed", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 "the clocks differ too much", CLOCK_HINT},
	{"QuotaExceeded", ERRCODE_DISK_FULL, "the bucket is full", FULL_HINT},
	{"InsufficientCapacity", ERRCODE_DISK_FULL, "the server is full",
	 FULL_HINT},
	{"XMinioStorageFull", ERRCODE_DISK_FULL, "the server is full", FULL_HINT},
	{"XMinioAdminBucketQuotaExceeded", ERRCODE_DISK_FULL, "the bucket is full",
	 FULL_HINT},
	{"EntityTooLarge", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "the server takes no object, or no part of one, that is so large", NULL},
	{"EntityTooSmall", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	 "the server wants larger parts",
	 "Raise the option \"part_size\" of the foreign server."},
	{"KeyTooLongError", ERRCODE_NAME_TOO_LONG, "the key is too long", NULL},
	{"InvalidStorageClass", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server does not know the storage class",
	 "Correct the option \"storage_class\" of the foreign server."},
	{"InvalidArgument", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server does not accept what was asked for",
	 "See whether the options \"storage_class\", \"encryption\" and \"kms_key_id\" of the foreign server have values that the server knows."},
	{"InvalidObjectState", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	 "the storage class of the object cannot be read",
	 "Restore the object in the storage first: its storage class is GLACIER, DEEP_ARCHIVE or the like."},
	{"NotImplemented", ERRCODE_FEATURE_NOT_SUPPORTED,
	 "the server cannot do that",
	 "Leave out the options \"encryption\" and \"storage_class\" of the foreign server if it does not know them."},
	{"InvalidEncryptionAlgorithmError", ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
	 "the server cannot encrypt in this way", ENCRYPTION_HINT},
	{"BadDigest", ERRCODE_IO_ERROR, "what arrived is not what was sent", NULL},
	{"XAmzContentSHA256Mismatch", ERRCODE_IO_ERROR,
	 "what arrived is not what was sent", NULL},
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
		"the server cannot use the key to encrypt it", ENCRYPTION_HINT};

	for (int i = 0; i < lengthof(refusals); i++)
		if (strcmp(refusals[i].code, code) == 0)
			return &refusals[i];
	return strncmp(code, "KMS.", 4) == 0 ? &kms : NULL;
}

/*
 * Where the bucket is, when the request went to another region.
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
 * A server that repeats the request that it got repeats what must not be seen.
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
 * The answer as it came, for those who know S3.
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
 * How far this machine's clock is from the server's, for a person; NULL when
 * they do not differ enough to matter, or the server has not told its time.
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
		return "Give the name that is in the server's certificate in the option \"endpoint\" of the foreign server; where it is not good for names of buckets, set \"addressing\" to 'path'.";
	if (strstr(failure, "certificate") != NULL)
		return "Give the authority that has signed the server's certificate in the option \"ca_file\" of the foreign server.";
	return "See whether the option \"endpoint\" of the foreign server is right, and whether the server can be reached.";
}

/*
 * Something answered that does not speak S3's language.
 */
static void
raise_foreign(const S3Client *client, const S3Request *request,
			  const S3Answer *answer)
{
	const char *type = http_header(&answer->http, "content-type");

	ereport(
		ERROR,
		(errcode(ERRCODE_PROTOCOL_VIOLATION),
		 errmsg(
			 "storage \"%s\": could not %s: the answer is not one of an S3 server",
			 client->options->name, request->purpose),
		 errdetail("Endpoint %s%s answered with status %d and %s%s%s.",
				   client->scheme, client->host, answer->http.status,
				   type != NULL ? "content type \"" : "no content type",
				   type != NULL ? type : "", type != NULL ? "\"" : ""),
		 errhint("Correct the option \"endpoint\" of the foreign server, and "
				 "see whether a proxy or a captive portal answers instead: "
				 "curl -i %s%s",
				 client->scheme, client->host)));
}

/*
 * Nothing came back, or not all of it.
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
 * Raise what has become of a request that failed.
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
			: psprintf("the server refused it with status %d",
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
