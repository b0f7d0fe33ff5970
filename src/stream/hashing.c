/*-------------------------------------------------------------------------
 *
 * hashing.c
 *	  A source that counts and hashes the bytes passed through it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"

#include "stream/digest.h"
#include "stream/hashing.h"

typedef struct HashingSource
{
	Source source;
	pg_cryptohash_ctx *hash; /* NULL once it is released */
	uint64 bytes;
	bool complete;
	char sha256[2 * PG_SHA256_DIGEST_LENGTH + 1];
} HashingSource;

static void
finish_hash(HashingSource *hashing)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];

	check_hash(pg_cryptohash_final(hashing->hash, digest, sizeof(digest)) >=
			   0);
	hex_encode((const char *) digest, sizeof(digest), hashing->sha256);
	hashing->complete = true;
}

static size_t
hashing_read(Source *source, char *buffer, size_t size)
{
	HashingSource *hashing = (HashingSource *) source;
	size_t length = source_read(source->from, buffer, size);

	hashing->bytes += length;
	if (length > 0)
		check_hash(pg_cryptohash_update(hashing->hash, (const uint8 *) buffer,
										length) >= 0);
	else if (!hashing->complete)
		finish_hash(hashing);
	return length;
}

/*
 * Free the hash now: the transaction would free it only at its end.
 */
static void
release_hash(Source *source)
{
	HashingSource *hashing = (HashingSource *) source;

	pg_cryptohash_free(hashing->hash);
	hashing->hash = NULL;
}

static const SourceOps hashing_ops = {
	.read = hashing_read,
	.close = release_hash,
};

Source *
hashing_source_create(Source *from)
{
	HashingSource *hashing = (HashingSource *) source_create(
		&hashing_ops, sizeof(HashingSource), from);

	hashing->hash = pg_cryptohash_create(PG_SHA256);
	check_hash(pg_cryptohash_init(hashing->hash) >= 0);
	return &hashing->source;
}

uint64
hashed_bytes(const Source *source)
{
	return ((const HashingSource *) source)->bytes;
}

/*
 * The SHA-256 of all bytes if all were read; "incomplete" otherwise.
 */
const char *
hashed_sha256(const Source *source)
{
	const HashingSource *hashing = (const HashingSource *) source;

	return hashing->complete ? hashing->sha256 : "incomplete";
}
