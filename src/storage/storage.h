/*-------------------------------------------------------------------------
 *
 * storage.h
 *	  Where objects are kept: a foreign server of the wrapper pgmaint_storage,
 *	  whatever its URL says it is.
 *
 * The room storage: S3 and folders behind one face: open, write, read, list
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
	char *mark; /* what storage_writer was given; NULL in a list */
} StoredObject;

/*
 * The current user needs USAGE on the server and, for files, what PostgreSQL
 * asks for access to the server's files.  Closed with its memory context.
 */
extern Storage *storage_open(const char *server, StorageAccess access);
extern const char *storage_name(const Storage *storage);

/*
 * How many bytes a key may have; for whoever makes keys, so without any rights
 * and whether or not there is such a server.
 */
extern int storage_longest_key(const char *server);

/*
 * The last sink of a chain.  An object that has the key already is never
 * replaced: sink_begin refuses it, ERRCODE_DUPLICATE_OBJECT.  When sink_end
 * returns, the object is complete, durable, and was asked for: its size, and its
 * checksum as far as the storage tells, are those of what was written.  Before
 * that, nothing is there under the key; after sink_abort nothing is left of it.
 * The mark, short and printable, is kept with the object: it tells whose it is.
 */
extern Sink *storage_writer(Storage *storage, const char *key,
							const char *content_type, const char *mark);

/* the whole object, from its first byte */
extern Source *storage_reader(Storage *storage, const char *key);

/* false when there is none */
extern bool storage_stat(Storage *storage, const char *key,
						 StoredObject *object);

/*
 * Calls visit for each object whose key begins with prefix, in the order of the
 * keys; it returns false to hear no more.  The object is gone afterwards.
 */
typedef bool (*StorageVisit)(void *context, const StoredObject *object);
extern void storage_list(Storage *storage, const char *prefix,
						 StorageVisit visit, void *context);

/* no error when there is none */
extern void storage_delete(Storage *storage, const char *key);

/*
 * What an interrupted writer of exactly this key has left and nobody can see:
 * parts of an unfinished upload, a temporary file.  The caller knows that no
 * writer is at it.
 */
extern void storage_remove_unfinished(Storage *storage, const char *key);

/* what can still be written; -1: no limit is known */
extern int64 storage_free_bytes(Storage *storage);

/*
 * Whether a writer of this process may have changed anything on a storage since
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
