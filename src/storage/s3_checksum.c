/*-------------------------------------------------------------------------
 *
 * s3_checksum.c
 *	  Checksums and ETags of S3.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "common/cryptohash.h"
#include "utils/builtins.h"

#include "storage/s3_checksum.h"

/*
 * Compute the MD5 of data, which S3 uses for checksums; false if the library
 * of this machine does not support MD5.
 */
bool
s3_md5(const char *data, size_t length, uint8 digest[MD5_LENGTH])
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_MD5);
	bool done =
		hash != NULL && pg_cryptohash_init(hash) >= 0 &&
		pg_cryptohash_update(hash, (const uint8 *) data, length) >= 0 &&
		pg_cryptohash_final(hash, digest, MD5_LENGTH) >= 0;

	pg_cryptohash_free(hash);
	return done;
}

char *
s3_md5_hex(const uint8 digest[MD5_LENGTH])
{
	char *hex = palloc(MD5_HEX_SIZE);

	hex[hex_encode((const char *) digest, MD5_LENGTH, hex)] = '\0';
	return hex;
}

char *
s3_md5_base64(const uint8 digest[MD5_LENGTH])
{
	int size = pg_b64_enc_len(MD5_LENGTH);
	char *text = palloc(size + 1);
	int length = pg_b64_encode((const void *) digest, MD5_LENGTH, text, size);

	Assert(length >= 0);
	text[length] = '\0';
	return text;
}

/*
 * An ETag without its quotes.
 */
char *
s3_etag(const char *value)
{
	size_t length = strlen(value);

	if (length >= 2 && value[0] == '"' && value[length - 1] == '"')
		return pnstrdup(value + 1, length - 2);
	return pstrdup(value);
}

/*
 * Does the ETag equal the expected checksum?  If the server encrypts with a
 * key of its own, the ETag is not a checksum.
 */
bool
s3_etag_fits(const S3Answer *answer, const char *expected)
{
	const char *encryption =
		http_header(&answer->http, "x-amz-server-side-encryption");
	const char *etag = http_header(&answer->http, "etag");
	char *bare;

	if (etag == NULL || expected == NULL ||
		(encryption != NULL && strcmp(encryption, "AES256") != 0))
		return true;
	bare = s3_etag(etag);
	if (strlen(bare) != strlen(expected) ||
		strspn(bare, "0123456789abcdef-") != strlen(bare))
		return true;
	return strcmp(bare, expected) == 0;
}
