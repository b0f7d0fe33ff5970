/*-------------------------------------------------------------------------
 *
 * options.h
 *	  Options of a storage's foreign server and user mapping.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_OPTIONS_H
#define PGMAINT_STORAGE_OPTIONS_H

typedef enum StorageKind
{
	STORAGE_FILE,
	STORAGE_S3
} StorageKind;

typedef struct StorageOptions
{
	char *name; /* of the foreign server */
	Oid server;
	Oid owner;
	bool owner_is_superuser;
	StorageKind kind;

	/* file:///folder; file:folder is below the data directory */
	char *folder; /* absolute, without a slash at its end */

	/* s3://bucket/prefix */
	char *bucket;
	char *prefix;	/* "" or ending in a slash */
	char *endpoint; /* https://host[:port], AWS's of the region where none is
					 * given; NULL where there is no region either */
	char *region;	/* NULL where none is given */
	bool virtual_host;
	char *ca_file;		 /* NULL for the system's */
	char *encryption;	 /* NULL, AES256 or aws:kms */
	char *kms_key_id;	 /* NULL for the bucket's own */
	char *storage_class; /* NULL for the bucket's own */
	char *profile; /* of the shared credentials file; NULL: AWS_PROFILE */
	int part_size; /* bytes */
	int parallel;  /* parts in flight */
	int connect_timeout; /* milliseconds */
	int stall_timeout;	 /* seconds */
	int retries;

	/* of the user mapping; NULL where there is none */
	char *access_key_id;
	char *secret_access_key;
	char *session_token;
} StorageOptions;

/* with the current user's mapping; checks USAGE */
extern StorageOptions *read_storage_options(const char *name);

/* of the URL; longer than this, bucket and key would not be legal together */
#define MAX_PREFIX_LENGTH 120

/* false where it is not the URL of a storage */
extern bool parse_storage_url(const char *url, StorageOptions *options);

/* how a path is not valid as a key, as a sentence, or NULL */
extern const char *path_complaint(const char *path);

#endif /* PGMAINT_STORAGE_OPTIONS_H */
