/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  A notification as a request to a webhook.
 *
 * The headers follow the Standard Webhooks specification, for which receivers
 * find libraries: webhook-id is the same at each attempt, and
 * webhook-signature is an HMAC-SHA256 over id, time and body.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"

#include "notify/message.h"

/* prefix of secrets in base64 */
#define SECRET_PREFIX "whsec_"

/*
 * Convert text to UTF-8.  Bytes that cannot be converted become question
 * marks, since the message must be sent.
 */
char *
utf8_text(const char *text)
{
	char *copy;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		return pstrdup(pg_server_to_any(text, (int) strlen(text), PG_UTF8));
	copy = pstrdup(text);
	if (!pg_verify_mbstr(PG_UTF8, copy, (int) strlen(copy), true))
	{
		for (char *c = copy; *c != '\0'; c++)
		{
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
		}
	}
	return copy;
}

static void
add_header(HttpRequest *request, const char *name, const char *value)
{
	HttpHeader *header = palloc(sizeof(HttpHeader));

	header->name = name;
	header->value = value;
	request->headers = lappend(request->headers, header);
}

/*
 * Decode a secret that begins with "whsec_" from base64; other secrets are
 * used unchanged.
 */
static uint8 *
signing_key(const char *secret, int *length)
{
	const char *encoded = secret + strlen(SECRET_PREFIX);
	uint8 *key = palloc0(strlen(secret) + 1);

	if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
	{
		*length = pg_b64_decode(encoded, (int) strlen(encoded), (void *) key,
								(int) strlen(secret));
		if (*length > 0)
			return key;
	}
	*length = (int) strlen(secret);
	memcpy(key, secret, *length);
	return key;
}

static char *
signature(const char *secret, const char *signed_text)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	int size = pg_b64_enc_len(sizeof(digest)) + 1;
	char *encoded = palloc0(size);
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	int key_length;
	uint8 *key = signing_key(secret, &key_length);
	bool done;

	done = hmac != NULL && pg_hmac_init(hmac, key, key_length) >= 0 &&
		   pg_hmac_update(hmac, (const uint8 *) signed_text,
						  strlen(signed_text)) >= 0 &&
		   pg_hmac_final(hmac, digest, sizeof(digest)) >= 0;
	pg_hmac_free(hmac);
	explicit_bzero(key, key_length);
	if (!done || pg_b64_encode((const void *) digest, sizeof(digest), encoded,
							   size) < 0)
		elog(ERROR, "could not sign a message for a webhook");
	return psprintf("v1,%s", encoded);
}

void
word_webhook(const Notification *notification, const Relay *relay,
			 HttpRequest *request)
{
	char *body = utf8_text(notification->payload);
	char *now = psprintf("%lld", (long long) time(NULL));

	request->method = "POST";
	request->url = psprintf("%s%s", notification->address,
							relay->path != NULL ? relay->path : "");
	request->body = body;
	request->body_length = strlen(body);
	add_header(request, "content-type", "application/json");
	add_header(request, "webhook-id", notification->message_id);
	add_header(request, "webhook-timestamp", now);
	if (relay->secret != NULL)
		add_header(request, "webhook-signature",
				   signature(relay->secret,
							 psprintf("%s.%s.%s", notification->message_id,
									  now, body)));
	if (relay->token != NULL)
		add_header(request, "authorization",
				   psprintf("Bearer %s", relay->token));
}
