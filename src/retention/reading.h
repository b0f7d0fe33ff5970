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
#include "stream/hashing.h"

#define READING_BUFFER_SIZE 65536

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
