/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Storages of objects: a foreign server of the wrapper pgmaint_storage,
 *	  whose URL names a bucket of S3 or a folder.
 *
 * The room storage: one interface to S3 and folders: open, write, read, list
 * and remove objects.
 *
 * A key names an object below the storage's own prefix or folder.  It has at
 * most 900 bytes, none of them a control character, and no part that is empty,
 * "." or "..".  Errors are raised, in a person's words, and say which storage
 * and which key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_H
#define PGMAINT_STORAGE_H

#include "datatype/timestamp.h"

#include "stream/sink.h"
#include "stream/source.h"

typedef struct Storage Storage;

typedef enum StorageAccess
{
	STORAGE_READ,
	STORAGE_WRITE /* and delete */
} StorageAccess;

typedef struct StoredObject
{
	char *key;
	int64 bytes;
	TimestampTz modified;
	char *etag; /* without quotes; NULL where the storage has none */
	char *mark; /* the mark given to storage_writer; NULL in a list */
} StoredObject;

/*
 * The current user needs USAGE on the server and, for files, what PostgreSQL
 * asks for access to the server's files.  Closed with its memory context.
 */
extern Storage *storage_open(const char *server, StorageAccess access);
extern const char *storage_name(const Storage *storage);

/*
 * The maximum length of a key in bytes.  Code that generates keys calls it, so
 * it requires no rights and accepts a server that does not exist.
 */
extern int storage_longest_key(const char *server);

/*
 * The last sink of a chain.  An existing object is never replaced: sink_begin
 * refuses it, ERRCODE_DUPLICATE_OBJECT.  When sink_end returns, the object is
 * complete, durable, and was looked up: its size, and its checksum as far as
 * the storage provides it, equal those of the bytes written.  Before that, no
 * object exists under the key; after sink_abort no part of it is left.  The
 * mark, short and printable, is stored with the object and identifies its
 * writer.
 */
extern Sink *storage_writer(Storage *storage, const char *key,
							const char *content_type, const char *mark);

/* the whole object, from its first byte */
extern Source *storage_reader(Storage *storage, const char *key);

/* false when there is none */
extern bool storage_stat(Storage *storage, const char *key,
						 StoredObject *object);

/*
 * Calls visit for each object whose key begins with prefix, in the order of
 * the keys; visit returns false to end the list.  The object is freed after
 * the call.
 */
typedef bool (*StorageVisit)(void *context, const StoredObject *object);
extern void storage_list(Storage *storage, const char *prefix,
						 StorageVisit visit, void *context);

/* no error when there is none */
extern void storage_delete(Storage *storage, const char *key);

/*
 * Removes the hidden leftovers of an interrupted writer of exactly this key:
 * parts of an unfinished upload, a temporary file.  The caller knows that no
 * writer is active.
 */
extern void storage_remove_unfinished(Storage *storage, const char *key);

/* bytes that can still be written; -1: no limit is known */
extern int64 storage_free_bytes(Storage *storage);

/*
 * Whether a writer of this process may have changed anything in a storage since
 * storage_reset_written(): false only when no request that changes something was
 * sent, or the first was refused by the storage itself.
 */
extern void storage_reset_written(void);
extern bool storage_was_written(void);

/* small objects in one call each; texts are stored in UTF-8 */
extern void storage_put_text(Storage *storage, const char *key,
							 const char *content_type, const char *mark,
							 const char *text);
extern char *storage_get_text(Storage *storage, const char *key, size_t limit);

#endif /* PGMAINT_STORAGE_H */
