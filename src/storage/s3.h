/*-------------------------------------------------------------------------
 *
 * s3.h
 *	  S3 as a storage: what its parts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_H
#define PGMAINT_S3_H

#include "storage/backend.h"
#include "storage/s3_request.h"

/* of an object: whose it is, and by which of its owner's uploads it came */
#define MARK_HEADER "x-amz-meta-pgmaint"
#define UPLOAD_HEADER "x-amz-meta-pgmaint-upload"

extern S3Client *s3_client(const Storage *storage);
extern char *s3_full_key(const Storage *storage, const char *key);
extern char *s3_purpose(const Storage *storage, const char *verb,
						const char *key);

extern int64 s3_content_length(const S3Answer *answer);
extern TimestampTz s3_time(const char *text);
extern bool s3_head(const Storage *storage, const char *key,
					const char *purpose, S3Answer *answer);

extern Sink *s3_writer(Storage *storage, const char *key,
					   const char *content_type, const char *mark);
extern Source *s3_reader(Storage *storage, const char *key);
extern void s3_list(Storage *storage, const char *prefix, StorageVisit visit,
					void *context);
extern void s3_remove_unfinished(Storage *storage, const char *key);

#endif /* PGMAINT_S3_H */
