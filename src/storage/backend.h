/*-------------------------------------------------------------------------
 *
 * backend.h
 *	  The interface of a kind of storage.  See storage.h for the contract of
 *	  each function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BACKEND_H
#define PGMAINT_BACKEND_H

#include "storage/options.h"
#include "storage/storage.h"

/* of keys and marks: no backend gets to see longer ones */
#define MAX_KEY_LENGTH 900
#define MAX_MARK_LENGTH 200

/* keys and marks have been looked at before any of these is called */
typedef struct StorageBackend
{
	/* in the storage's context; refuses what the current user may not do */
	void (*open)(Storage *storage, StorageAccess access);
	Sink *(*writer)(Storage *storage, const char *key,
					const char *content_type, const char *mark);
	Source *(*reader)(Storage *storage, const char *key);
	bool (*stat)(Storage *storage, const char *key, StoredObject *object);
	void (*list)(Storage *storage, const char *prefix, StorageVisit visit,
				 void *context);
	void (*remove)(Storage *storage, const char *key);
	void (*remove_unfinished)(Storage *storage, const char *key);
	int64 (*free_bytes)(Storage *storage); /* NULL: no limit is known */
} StorageBackend;

struct Storage
{
	const StorageBackend *backend;
	MemoryContext context; /* lives as long as the storage */
	StorageOptions *options;
	void *state; /* the backend's own */
};

/*
 * Set by a writer before it first changes anything in a storage.  Reset to its
 * former value only when the storage's answer proves that nothing was changed.
 */
extern bool storage_written;

extern const StorageBackend s3_backend;
extern const StorageBackend file_backend;

#endif /* PGMAINT_BACKEND_H */
