/*-------------------------------------------------------------------------
 *
 * s3_request.c
 *	  Requests to S3: signs and sends a request, classifies its answer, and
 *	  retries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/memutils.h"

#include "base/utf8.h"
#include "storage/s3_request.h"

/* a page of a list has a thousand keys */
#define ANSWER_LIMIT ((size_t) 16 * 1024 * 1024)

/* between two attempts, in milliseconds */
#define FIRST_DELAY 100
#define LONGEST_DELAY 20000
#define LONGEST_RETRY_AFTER 60000

#define DEFAULT_REGION "us-east-1"

/*
 * The host as it is written in the header: without the default port, which
 * servers omit when they check the signature.
 */
static char *
host_of(const S3Client *client, const char *authority)
{
	const char *usual =
		strcmp(client->scheme, "https://") == 0 ? ":443" : ":80";
	size_t length = strcspn(authority, "/");
	size_t port = strlen(usual);

	if (length > port && strncmp(authority + length - port, usual, port) == 0)
		length -= port;
	return pnstrdup(authority, length);
}

/*
 * Create the client of a storage, in the current memory context.
 */
S3Client *
s3_client_create(const StorageOptions *options)
{
	S3Client *client = palloc0(sizeof(S3Client));
	const char *endpoint = options->endpoint;
	const char *authority;
	char *host;

	client->options = options;
	client->context = CurrentMemoryContext;
	client->scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint S3 request", ALLOCSET_DEFAULT_SIZES);
	client->conditional = true;
	client->http = http_client_create();
	client->chain = credential_chain_create(options, client->http);
	client->region = options->region;
	if (client->region == NULL)
		client->region = machine_region(options);
	if (client->region == NULL)
		client->region = DEFAULT_REGION;
	if (endpoint == NULL)
		endpoint =
			psprintf("https://s3.%s.amazonaws.com%s", client->region,
					 strncmp(client->region, "cn-", 3) == 0 ? ".cn" : "");
	authority = strstr(endpoint, "://");
	if (authority == NULL)
		elog(ERROR, "endpoint \"%s\" has no scheme", endpoint);
	authority += strlen("://");
	client->scheme = pnstrdup(endpoint, authority - endpoint);
	host = host_of(client, authority);
	client->host = options->virtual_host
					   ? psprintf("%s.%s", options->bucket, host)
					   : host;
	return client;
}

/*
 * The credentials of the request.  A copy is kept for a writer that is
 * aborted, which must not search for new ones.
 */
static const Credentials *
credentials_for(S3Client *client, const S3Request *request)
{
	const Credentials *now;
	Credentials *kept = &client->signing;
	MemoryContext previous;

	if (request->last_words)
		return kept;
	now = current_credentials(client->chain);
	if (kept->access_key_id != NULL &&
		strcmp(kept->access_key_id, now->access_key_id) == 0 &&
		strcmp(kept->secret_access_key, now->secret_access_key) == 0 &&
		strcmp(kept->session_token != NULL ? kept->session_token : "",
			   now->session_token != NULL ? now->session_token : "") == 0)
		return kept;
	previous = MemoryContextSwitchTo(client->context);
	kept->access_key_id = pstrdup(now->access_key_id);
	kept->secret_access_key = pstrdup(now->secret_access_key);
	kept->session_token =
		now->session_token != NULL ? pstrdup(now->session_token) : NULL;
	kept->origin = now->origin;
	kept->expires = now->expires;
	MemoryContextSwitchTo(previous);
	return kept;
}

static char *
path_of(const S3Client *client, const S3Request *request)
{
	const char *bucket = client->options->bucket;
	const char *key = request->key;

	if (key != NULL)
		key = text_in_utf8(key);
	if (client->options->virtual_host)
		return psprintf("/%s", key != NULL ? key : "");
	return key != NULL ? psprintf("/%s/%s", bucket, key)
					   : psprintf("/%s", bucket);
}

/*
 * Add the headers of every request, and the signature over all headers.
 */
static List *
signed_headers(S3Client *client, const Credentials *credentials,
			   const S3Request *request, const char *path)
{
	pg_time_t now = (pg_time_t) time(NULL);
	char stamp[32];
	char hash[SHA256_HEX_SIZE];
	SignedRequest to_sign = {0};
	SigningKey key = {0};
	const char *payload_hash = request->payload_hash;
	List *headers = list_copy(request->headers);

	pg_strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", pg_gmtime(&now));
	if (payload_hash == NULL)
	{
		sha256_hex(request->body, request->body_length, hash);
		payload_hash = hash;
	}
	headers = lappend(headers, named_value("host", client->host));
	headers = lappend(headers, named_value("x-amz-date", stamp));
	headers =
		lappend(headers, named_value("x-amz-content-sha256", payload_hash));
	if (credentials->session_token != NULL)
		headers = lappend(headers, named_value("x-amz-security-token",
											   credentials->session_token));
	to_sign.method = request->method;
	to_sign.path = path;
	to_sign.query = request->query;
	to_sign.headers = headers;
	to_sign.payload_hash = payload_hash;
	key.access_key_id = credentials->access_key_id;
	key.secret_access_key = credentials->secret_access_key;
	key.session_token = credentials->session_token;
	key.region = client->region;
	key.service = "s3";
	return lappend(headers,
				   named_value("authorization",
							   authorization_header(&key, stamp, &to_sign)));
}

/*
 * Sign a request and start sending it.  The body must stay allocated.
 */
HttpTransfer *
s3_start(S3Client *client, const S3Request *request)
{
	const Credentials *credentials = credentials_for(client, request);
	MemoryContext previous = MemoryContextSwitchTo(client->scratch);
	const StorageOptions *options = client->options;
	HttpRequest http = {0};
	HttpTransfer *transfer;
	StringInfoData url;
	char *path = path_of(client, request);

	initStringInfo(&url);
	appendStringInfo(&url, "%s%s", client->scheme, client->host);
	append_uri_encoded(&url, path, true);
	if (request->query != NIL)
	{
		appendStringInfoChar(&url, '?');
		append_canonical_query(&url, request->query);
	}
	http.method = request->method;
	http.url = url.data;
	http.headers = signed_headers(client, credentials, request, path);
	http.body = request->body;
	http.body_length = request->body_length;
	http.ca_file = options->ca_file;
	http.connect_timeout = options->connect_timeout;
	http.stall_timeout = options->stall_timeout;
	http.timeout = request->timeout;
	http.body_limit = ANSWER_LIMIT;
	http.streamed = request->streamed;
	http.once = request->once;
	transfer = http_start(client->http, &http);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(client->scratch);
	return transfer;
}

/*
 * May the request have failed because of expired credentials?  Servers use
 * several codes for that, and none where the answer has no body.
 */
static bool
may_have_expired(const S3Client *client, const S3Answer *answer)
{
	static const char *const expired[] = {"ExpiredToken", "InvalidToken",
										  "TokenRefreshRequired",
										  "ExpiredTokenException", NULL};
	static const char *const perhaps[] = {"AccessDenied", "InvalidAccessKeyId",
										  "status 400", NULL};

	return s3_is_one_of(answer->code, expired) ||
		   (client->signing.session_token != NULL &&
			s3_is_one_of(answer->code, perhaps));
}

/*
 * The delay before the next attempt: longer each time, and random, so that
 * clients that failed together do not retry together.
 */
static long
delay_after(const S3Answer *answer, int failures)
{
	const char *wanted = http_header(&answer->http, "retry-after");
	long delay =
		Min((long) FIRST_DELAY << Min(failures - 1, 10), LONGEST_DELAY);
	uint32 random;

	if (!pg_strong_random(&random, sizeof(random)))
		random = 0;
	delay = delay / 2 + (long) (random % (uint32) delay);
	if (wanted != NULL)
		delay = Max(delay,
					Min(strtol(wanted, NULL, 10) * 1000, LONGEST_RETRY_AFTER));
	return delay;
}

/*
 * Should a request that failed be sent again, and when?
 */
bool
s3_try_again(S3Client *client, const S3Request *request,
			 const S3Answer *answer, S3Attempts *attempts)
{
	Assert(!answer->ok);
	attempts->delay = 0;
	if (request->last_words)
		return false;
	if (may_have_expired(client, answer) && !attempts->renewed)
	{
		discard_credentials(client->chain);
		attempts->renewed = true;
		return true;
	}
	if (!s3_is_passing(answer) ||
		attempts->failures >= client->options->retries)
		return false;
	attempts->failures++;
	attempts->delay = delay_after(answer, attempts->failures);
	return true;
}

/*
 * Send a request, and retry it after temporary failures.
 */
S3Attempts
s3_perform(S3Client *client, const S3Request *request, S3Answer *answer)
{
	S3Attempts attempts = {0};

	for (;;)
	{
		http_await(s3_start(client, request), &answer->http);
		s3_read_answer(answer);
		s3_judge_answer(request, answer);
		if (answer->ok || !s3_try_again(client, request, answer, &attempts))
			return attempts;
		http_sleep(client->http, attempts.delay);
	}
}
