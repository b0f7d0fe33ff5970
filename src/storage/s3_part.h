/*-------------------------------------------------------------------------
 *
 * s3_part.h
 *	  The parts of an upload, several of which are sent at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_PART_H
#define PGMAINT_S3_PART_H

#include "storage/s3.h"
#include "storage/s3_checksum.h"

/* the limit of S3 */
#define MOST_PARTS 10000

/* a buffer, and the part that is in it */
typedef struct S3Part
{
	char *data;
	size_t size; /* of the buffer */
	size_t length;
	int number; /* 0: it is free, or is being filled */
	HttpTransfer *transfer;
	TimestampTz start_at; /* without a transfer: when to try again */
	S3Attempts attempts;
	char sha256[SHA256_HEX_SIZE];
} S3Part;

/* one upload, of an object that is not there before it ends */
typedef struct S3Parts
{
	S3Client *client;
	const char *key; /* with the storage's prefix */
	const char *purpose;
	char *id; /* of the upload; NULL before there is one */
	MemoryContext context;
	MemoryContext scratch; /* of one answer */
	S3Part *slots;
	int slot_count;
	int count; /* parts that were begun */
	char **etags;
	uint8 (*digests)[MD5_LENGTH];
	bool has_digests; /* this machine computes MD5 */
} S3Parts;

extern S3Parts *s3_parts_create(S3Client *client, const char *key,
								const char *purpose);
extern size_t s3_part_size(const S3Client *client, int number);
extern S3Part *s3_free_part(S3Parts *parts);
extern void s3_send_part(S3Parts *parts, S3Part *part);
extern void s3_serve_parts(S3Parts *parts);
extern void s3_await_parts(S3Parts *parts);
extern void s3_drop_parts(S3Parts *parts);
extern char *s3_complete_body(const S3Parts *parts);
extern char *s3_composite_etag(const S3Parts *parts);

#endif /* PGMAINT_S3_PART_H */
