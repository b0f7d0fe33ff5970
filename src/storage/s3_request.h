/*-------------------------------------------------------------------------
 *
 * s3_request.h
 *	  Requests to S3: signs and sends a request, classifies its answer, and
 *	  retries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_S3_REQUEST_H
#define PGMAINT_S3_REQUEST_H

#include "storage/credentials.h"
#include "storage/options.h"
#include "storage/s3_answer.h"
#include "storage/sigv4.h"

/* of a storage, for as long as it is open */
typedef struct S3Client
{
	const StorageOptions *options;
	MemoryContext context;
	MemoryContext scratch; /* of one call */
	HttpClient *http;
	CredentialChain *chain;
	Credentials signing; /* those of the last request; a copy */
	char *region;
	char *scheme;	  /* http:// or https:// */
	char *host;		  /* with the port, where it is not the usual one */
	bool conditional; /* the server knows If-None-Match */
} S3Client;

extern S3Client *s3_client_create(const StorageOptions *options);
extern HttpTransfer *s3_start(S3Client *client, const S3Request *request);
extern bool s3_try_again(S3Client *client, const S3Request *request,
						 const S3Answer *answer, S3Attempts *attempts);
extern S3Attempts s3_perform(S3Client *client, const S3Request *request,
							 S3Answer *answer);
extern _Noreturn void s3_raise(const S3Client *client,
							   const S3Request *request,
							   const S3Answer *answer);

#endif /* PGMAINT_S3_REQUEST_H */
