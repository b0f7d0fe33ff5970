/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  Keys for S3: found in the order in which AWS's own tools look, and renewed
 *	  before they expire.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CREDENTIALS_H
#define PGMAINT_CREDENTIALS_H

#include "datatype/timestamp.h"

#include "http/http.h"
#include "storage/options.h"

typedef struct Credentials
{
	char *access_key_id;
	char *secret_access_key;
	char *session_token; /* NULL if there is none */
	TimestampTz expires; /* DT_NOEND if they do not */
	const char *origin;	 /* "user mapping", "environment", ... for a person */
} Credentials;

typedef struct CredentialChain CredentialChain;

/* lives in the current memory context, and needs both as long */
extern CredentialChain *credential_chain_create(const StorageOptions *options,
												HttpClient *client);

/*
 * The access key for the next request, valid until the next call.  Raises an
 * ERROR with the sources that were searched if there is none.
 */
extern const Credentials *current_credentials(CredentialChain *chain);

/* the storage has refused these as expired: look for others */
extern void discard_credentials(CredentialChain *chain);

/*
 * The region from AWS_REGION, AWS_DEFAULT_REGION or the profile; NULL if there
 * is none, or if this storage may not use the settings of the machine.
 */
extern char *machine_region(const StorageOptions *options);

#endif /* PGMAINT_CREDENTIALS_H */
