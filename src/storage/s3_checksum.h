/*-------------------------------------------------------------------------
 *
 * s3_checksum.h
 *	  Checksums and ETags of S3.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_CHECKSUM_H
#define PGMAINT_S3_CHECKSUM_H

#include "storage/s3_request.h"

#define MD5_LENGTH 16
#define MD5_HEX_SIZE 33

extern char *s3_etag(const char *value);
extern bool s3_md5(const char *data, size_t length, uint8 digest[MD5_LENGTH]);
extern char *s3_md5_hex(const uint8 digest[MD5_LENGTH]);
extern char *s3_md5_base64(const uint8 digest[MD5_LENGTH]);
extern bool s3_etag_fits(const S3Answer *answer, const char *expected);

#endif /* PGMAINT_S3_CHECKSUM_H */
