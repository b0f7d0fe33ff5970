/*-------------------------------------------------------------------------
 *
 * sigv4.h
 *	  Signature Version 4 of AWS, for requests to S3 and to STS.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SIGV4_H
#define PGMAINT_SIGV4_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "http/http.h"

/* a name and a value, of a query or of a header; not encoded */
typedef HttpHeader NamedValue;

typedef struct SigningKey
{
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token; /* NULL if there is none */
	const char *region;
	const char *service;
} SigningKey;

/* a request to sign; names of headers in lower case, host among them */
typedef struct SignedRequest
{
	const char *method;
	const char *path; /* not encoded, beginning with a slash */
	List *query;	  /* of NamedValue */
	List *headers;	  /* of NamedValue */
	const char *payload_hash;
} SignedRequest;

#define SHA256_HEX_SIZE 65
#define EMPTY_PAYLOAD_HASH \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

extern NamedValue *named_value(const char *name, const char *value);
extern void sha256_hex(const char *data, size_t length,
					   char hex[SHA256_HEX_SIZE]);
extern void append_uri_encoded(StringInfo target, const char *text,
							   bool keep_slashes);
extern void append_canonical_query(StringInfo target, const List *query);
extern char *canonical_request(const SignedRequest *request);
extern char *string_to_sign(const SigningKey *key, const char *timestamp,
							const char *canonical);
extern char *authorization_header(const SigningKey *key, const char *timestamp,
								  const SignedRequest *request);

#endif /* PGMAINT_SIGV4_H */
