/*-------------------------------------------------------------------------
 *
 * digest.c
 *	  A sink that counts and hashes the bytes passed through it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/builtins.h"

#include "stream/digest.h"

typedef struct Digest
{
	Sink sink;
	pg_cryptohash_ctx *hash;
	uint64 bytes;
	uint8 sha256[PG_SHA256_DIGEST_LENGTH];
} Digest;

/*
 * Raise an ERROR if a hash function of the server failed.
 */
void
check_hash(bool done)
{
	if (!done)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute a SHA-256 digest")));
}

/*
 * Free the hash now: the transaction would free it only at its end.
 */
static void
release_hash(Sink *sink)
{
	Digest *digest = (Digest *) sink;

	pg_cryptohash_free(digest->hash);
	digest->hash = NULL;
}

static void
digest_begin(Sink *sink)
{
	Digest *digest = (Digest *) sink;

	digest->hash = pg_cryptohash_create(PG_SHA256);
	check_hash(pg_cryptohash_init(digest->hash) >= 0);
}

static void
digest_write(Sink *sink, const char *data, size_t length)
{
	Digest *digest = (Digest *) sink;

	check_hash(
		pg_cryptohash_update(digest->hash, (const uint8 *) data, length) >= 0);
	digest->bytes += length;
	if (sink->next != NULL)
		sink_write(sink->next, data, length);
}

static void
digest_end(Sink *sink)
{
	Digest *digest = (Digest *) sink;

	check_hash(pg_cryptohash_final(digest->hash, digest->sha256,
								   sizeof(digest->sha256)) >= 0);
	release_hash(sink);
}

static const SinkOps digest_ops = {
	.begin = digest_begin,
	.write = digest_write,
	.end = digest_end,
	.abort = release_hash,
};

/*
 * Create a digest sink.  Without a next sink it discards the bytes.
 */
Sink *
digest_create(Sink *next)
{
	return sink_create(&digest_ops, sizeof(Digest), next);
}

/*
 * The number of bytes.
 */
uint64
digest_bytes(const Sink *sink)
{
	Assert(sink->state == SINK_ENDED);
	return ((const Digest *) sink)->bytes;
}

/*
 * The SHA-256 of the bytes, as 64 hexadecimal digits.
 */
char *
digest_sha256(const Sink *sink)
{
	const Digest *digest = (const Digest *) sink;
	char *hex = palloc0(2 * sizeof(digest->sha256) + 1);

	Assert(sink->state == SINK_ENDED);
	hex_encode((const char *) digest->sha256, sizeof(digest->sha256), hex);
	return hex;
}
