/*-------------------------------------------------------------------------
 *
 * s3_backend.c
 *	  S3 and compatible servers as a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/s3.h"
#include "storage/s3_checksum.h"

static void
s3_open(Storage *storage, StorageAccess access)
{
	storage->state = s3_client_create(storage->options);
}

static bool
s3_stat(Storage *storage, const char *key, StoredObject *object)
{
	S3Answer answer;
	const char *modified;
	const char *etag;
	const char *mark;

	if (!s3_head(storage, key, s3_purpose(storage, "look up object", key),
				 &answer))
		return false;
	modified = http_header(&answer.http, "last-modified");
	etag = http_header(&answer.http, "etag");
	mark = http_header(&answer.http, MARK_HEADER);
	object->key = pstrdup(key);
	object->bytes = s3_content_length(&answer);
	object->modified = modified != NULL ? s3_time(modified) : 0;
	object->etag = etag != NULL ? s3_etag(etag) : NULL;
	object->mark = mark != NULL ? pstrdup(mark) : NULL;
	return true;
}

static void
s3_remove(Storage *storage, const char *key)
{
	S3Request request = {0};
	S3Answer answer;

	request.method = "DELETE";
	request.key = s3_full_key(storage, key);
	request.purpose = s3_purpose(storage, "delete object", key);
	s3_perform(s3_client(storage), &request, &answer);
	if (!answer.ok &&
		(!s3_is_missing(&answer) || strcmp(answer.code, "NoSuchBucket") == 0))
		s3_raise(s3_client(storage), &request, &answer);
}

const StorageBackend s3_backend = {
	.open = s3_open,
	.writer = s3_writer,
	.reader = s3_reader,
	.stat = s3_stat,
	.list = s3_list,
	.remove = s3_remove,
	.remove_unfinished = s3_remove_unfinished,
};
