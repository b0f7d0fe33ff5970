/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  What is learnt of an archive while it is read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_READING_H
#define PGMAINT_READING_H

#include "stream/compress.h"

#define READING_BUFFER_SIZE 65536

/* a source that counts and hashes what passes; closing it closes the chain */
extern Source *hashing_source_create(Source *from);
extern uint64 hashed_bytes(const Source *source);
extern const char *hashed_sha256(const Source *source);

typedef struct ArchiveReading
{
	Source *object;	 /* the bytes of the object */
	Source *content; /* the CSV in it */
} ArchiveReading;

typedef struct CsvCounter
{
	bool quoted;
	bool in_line;
	int64 lines;
} CsvCounter;

extern void count_csv_rows(CsvCounter *counter, const char *data,
						   size_t length);
extern int64 csv_rows(const CsvCounter *counter);

#endif /* PGMAINT_READING_H */
