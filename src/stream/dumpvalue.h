/*-------------------------------------------------------------------------
 *
 * dumpvalue.h
 *	  Reads the values of a dump of pg_dump, one after the other, from pieces
 *	  of any size.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DUMPVALUE_H
#define PGMAINT_DUMPVALUE_H

#include "lib/stringinfo.h"

/* the most bytes of an int or an offset: more than any machine's */
#define DUMP_MAX_SIZE 8

/* seven ints with their signs */
#define DUMP_MAX_BYTES (7 * (1 + DUMP_MAX_SIZE))

typedef enum DumpValueKind
{
	DUMP_BYTES,	 /* so many */
	DUMP_INT,	 /* a sign, then the bytes of an int, the lowest first */
	DUMP_STRING, /* an int, its length, or -1 for NULL; then its bytes */
} DumpValueKind;

typedef struct DumpValue
{
	/* the last value that was whole, of the kind that it had */
	unsigned char bytes[DUMP_MAX_BYTES];
	int number;
	char *string; /* NULL for NULL; good until the next string */

	/* of the next */
	int have;		/* of its bytes */
	bool in_string; /* its length has come */
	StringInfoData text;

	int int_size;	 /* as the dump's header says */
	uint64 position; /* of bytes that were read in the whole dump */
} DumpValue;

extern void dump_value_init(DumpValue *value);
extern bool dump_value_read(DumpValue *value, DumpValueKind kind, int count,
							const char **data, const char *end);
extern void dump_damaged(const DumpValue *value, const char *what);

#endif /* PGMAINT_DUMPVALUE_H */
