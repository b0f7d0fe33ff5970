/*-------------------------------------------------------------------------
 *
 * sigv4.c
 *	  Signature Version 4 of AWS, for requests to S3 and to STS.
 *
 * All functions depend on their arguments only: no clock, no settings.  The
 * secret key is passed only to the keyed hashes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "utils/builtins.h"

#include "storage/sigv4.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* yyyymmdd of a timestamp yyyymmddThhmmssZ */
#define DATE_LENGTH 8

NamedValue *
named_value(const char *name, const char *value)
{
	NamedValue *result = palloc(sizeof(NamedValue));

	result->name = pstrdup(name);
	result->value = pstrdup(value);
	return result;
}

void
sha256_hex(const char *data, size_t length, char hex[SHA256_HEX_SIZE])
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) data, length) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
	{
		pg_cryptohash_free(hash);
		elog(ERROR, "could not compute a SHA-256 digest");
	}
	pg_cryptohash_free(hash);
	hex[hex_encode((const char *) digest, sizeof(digest), hex)] = '\0';
}

/*
 * Compute HMAC-SHA256.  The context is freed also after an error, since the
 * library may keep it outside PostgreSQL's memory.
 */
static void
keyed_hash(const uint8 *key, size_t key_length, const char *data,
		   uint8 result[PG_SHA256_DIGEST_LENGTH])
{
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

	if (hmac == NULL || pg_hmac_init(hmac, key, key_length) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) data, strlen(data)) < 0 ||
		pg_hmac_final(hmac, result, PG_SHA256_DIGEST_LENGTH) < 0)
	{
		pg_hmac_free(hmac);
		elog(ERROR, "could not compute a keyed SHA-256 digest");
	}
	pg_hmac_free(hmac);
}

/*
 * Encode all characters except letters, digits and "-._~" as %XX.
 */
void
append_uri_encoded(StringInfo target, const char *text, bool keep_slashes)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
			(*c >= '0' && *c <= '9') || *c == '-' || *c == '.' || *c == '_' ||
			*c == '~' || (*c == '/' && keep_slashes))
			appendStringInfoChar(target, *c);
		else
			appendStringInfo(target, "%%%02X", (unsigned char) *c);
	}
}

typedef struct EncodedPair
{
	char *name;
	char *value;
} EncodedPair;

static int
compare_pairs(const void *a, const void *b)
{
	const EncodedPair *left = a;
	const EncodedPair *right = b;
	int order = strcmp(left->name, right->name);

	return order != 0 ? order : strcmp(left->value, right->value);
}

static char *
uri_encoded(const char *text)
{
	StringInfoData result;

	initStringInfo(&result);
	append_uri_encoded(&result, text, false);
	return result.data;
}

/*
 * The query of a URL as it is signed, and as it is sent: encoded, then sorted.
 */
void
append_canonical_query(StringInfo target, const List *query)
{
	int count = list_length(query);
	EncodedPair *pairs = palloc(sizeof(EncodedPair) * Max(count, 1));
	ListCell *cell;
	int i = 0;

	foreach (cell, query)
	{
		const NamedValue *parameter = lfirst(cell);

		pairs[i].name = uri_encoded(parameter->name);
		pairs[i++].value = uri_encoded(parameter->value);
	}
	qsort(pairs, count, sizeof(EncodedPair), compare_pairs);
	for (i = 0; i < count; i++)
		appendStringInfo(target, "%s%s=%s", i > 0 ? "&" : "", pairs[i].name,
						 pairs[i].value);
	pfree(pairs);
}

static int
compare_headers(const ListCell *a, const ListCell *b)
{
	const NamedValue *left = lfirst(a);
	const NamedValue *right = lfirst(b);

	return strcmp(left->name, right->name);
}

/*
 * A header's value without spaces around it, and with single ones within.
 */
static void
append_trimmed(StringInfo target, const char *value)
{
	bool pending = false;
	bool begun = false;

	for (; *value != '\0'; value++)
	{
		if (*value == ' ' || *value == '\t')
			pending = begun;
		else
		{
			if (pending)
				appendStringInfoChar(target, ' ');
			appendStringInfoChar(target, *value);
			pending = false;
			begun = true;
		}
	}
}

static List *
sorted_headers(const SignedRequest *request)
{
	List *headers = list_copy(request->headers);

	list_sort(headers, compare_headers);
	return headers;
}

static void
append_signed_names(StringInfo target, const List *headers)
{
	ListCell *cell;

	foreach (cell, headers)
	{
		const NamedValue *header = lfirst(cell);

		if (cell != list_head(headers))
			appendStringInfoChar(target, ';');
		appendStringInfoString(target, header->name);
	}
}

/*
 * The request in the canonical form that client and server hash.
 */
char *
canonical_request(const SignedRequest *request)
{
	List *headers = sorted_headers(request);
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "%s\n", request->method);
	append_uri_encoded(&text, request->path, true);
	appendStringInfoChar(&text, '\n');
	append_canonical_query(&text, request->query);
	appendStringInfoChar(&text, '\n');
	foreach (cell, headers)
	{
		const NamedValue *header = lfirst(cell);

		appendStringInfo(&text, "%s:", header->name);
		append_trimmed(&text, header->value);
		appendStringInfoChar(&text, '\n');
	}
	appendStringInfoChar(&text, '\n');
	append_signed_names(&text, headers);
	appendStringInfo(&text, "\n%s", request->payload_hash);
	return text.data;
}

static void
append_scope(StringInfo target, const SigningKey *key, const char *timestamp)
{
	appendStringInfo(target, "%.*s/%s/%s/aws4_request", DATE_LENGTH, timestamp,
					 key->region, key->service);
}

char *
string_to_sign(const SigningKey *key, const char *timestamp,
			   const char *canonical)
{
	char hash[SHA256_HEX_SIZE];
	StringInfoData text;

	sha256_hex(canonical, strlen(canonical), hash);
	initStringInfo(&text);
	appendStringInfo(&text, "%s\n%s\n", ALGORITHM, timestamp);
	append_scope(&text, key, timestamp);
	appendStringInfo(&text, "\n%s", hash);
	return text.data;
}

static void
sign(const SigningKey *key, const char *timestamp, const char *text,
	 uint8 result[PG_SHA256_DIGEST_LENGTH])
{
	char *seed = psprintf("AWS4%s", key->secret_access_key);
	char *date = pnstrdup(timestamp, DATE_LENGTH);
	uint8 digest[PG_SHA256_DIGEST_LENGTH];

	keyed_hash((const uint8 *) seed, strlen(seed), date, digest);
	keyed_hash(digest, sizeof(digest), key->region, digest);
	keyed_hash(digest, sizeof(digest), key->service, digest);
	keyed_hash(digest, sizeof(digest), "aws4_request", digest);
	keyed_hash(digest, sizeof(digest), text, result);
	explicit_bzero(seed, strlen(seed));
	explicit_bzero(digest, sizeof(digest));
	pfree(seed);
	pfree(date);
}

/*
 * The value of the header Authorization.
 */
char *
authorization_header(const SigningKey *key, const char *timestamp,
					 const SignedRequest *request)
{
	uint8 signature[PG_SHA256_DIGEST_LENGTH];
	char hex[SHA256_HEX_SIZE];
	StringInfoData text;

	sign(key, timestamp,
		 string_to_sign(key, timestamp, canonical_request(request)),
		 signature);
	initStringInfo(&text);
	appendStringInfo(&text, "%s Credential=%s/", ALGORITHM,
					 key->access_key_id);
	append_scope(&text, key, timestamp);
	appendStringInfoString(&text, ", SignedHeaders=");
	append_signed_names(&text, sorted_headers(request));
	hex[hex_encode((const char *) signature, sizeof(signature), hex)] = '\0';
	appendStringInfo(&text, ", Signature=%s", hex);
	return text.data;
}
