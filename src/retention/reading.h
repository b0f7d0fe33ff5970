/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  Reading an archive: its row in the ledger, and the bytes of its object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_READING_H
#define PGMAINT_READING_H

#include "nodes/pg_list.h"

#include "stream/compress.h"
#include "stream/hashing.h"

#define READING_BUFFER_SIZE 65536

/* the row of an archive in the ledger */
typedef struct Archive
{
	int64 archive_id;
	char *storage;
	char *key;
	char *compression;
	int64 rows;
	int64 bytes;
	char *sha256;
	int64 content_bytes;
	char *content_sha256;
	List *columns; /* of String */
} Archive;

typedef struct ArchiveReading
{
	Source *object;	 /* the bytes of the object */
	Source *content; /* the CSV in it */
} ArchiveReading;

/* outside of a ledger scope, with the rights of the current role */
extern void read_archive(int64 archive_id, Archive *archive);
extern void open_archive(const Archive *archive, ArchiveReading *reading);

#endif /* PGMAINT_READING_H */
