/*-------------------------------------------------------------------------
 *
 * dumpparts.h
 *	  The state of reading a dump, for the files that read its parts.
 *
 * Such a dump has a header, a table of contents, and then a block of data for
 * each entry that has data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DUMPPARTS_H
#define PGMAINT_DUMPPARTS_H

#include "stream/dumpfile.h"
#include "stream/dumpvalue.h"

/* end of the output of COPY in a dump: its own end, and two empty lines */
#define DUMP_TRAILER "\\.\n\n\n"
#define DUMP_TRAILER_LENGTH ((int) sizeof(DUMP_TRAILER) - 1)

/* the kind of the next bytes, in the order of the file */
typedef enum DumpStep
{
	STEP_MAGIC,
	STEP_VERSION,
	STEP_SIZES, /* of int, of an offset, and the format */
	STEP_COMPRESSION_LEVEL,
	STEP_COMPRESSION_METHOD, /* instead of the level, since 1.15 */
	STEP_CREATED,
	STEP_DATABASE,
	STEP_SERVER_VERSION,
	STEP_PROGRAM_VERSION,
	STEP_ENTRIES,
	/* of each entry */
	STEP_DUMP_ID,
	STEP_HAS_DATA,
	STEP_TABLE_OID,
	STEP_OID,
	STEP_TAG,
	STEP_DESCRIPTION,
	STEP_SECTION,
	STEP_DEFINITION,
	STEP_DROP,
	STEP_COPY,
	STEP_SCHEMA,
	STEP_TABLESPACE,
	STEP_ACCESS_METHOD,
	STEP_RELKIND, /* since 1.16 */
	STEP_OWNER,
	STEP_WITH_OIDS,
	STEP_DEPENDENCY,
	STEP_OFFSET,
	/* of each block of data */
	STEP_BLOCK_TYPE,
	STEP_BLOCK_ID,
	STEP_LARGE_OBJECT,
	STEP_CHUNK_LENGTH,
	STEP_CHUNK,
} DumpStep;

typedef struct ListedEntry
{
	DumpEntry entry;
	bool arrived;  /* its data, from beginning to end */
	uint64 begins; /* in the dump, with its first value, ... */
	uint64 ends;   /* ... and after its last */
} ListedEntry;

struct DumpFile
{
	MemoryContext context;
	DumpStep step;
	DumpValue value;

	/* the header */
	int minor_version;
	int offset_size;
	bool compressed;
	char *database;
	char *server_version;
	char *program_version;
	int encoding;

	/* the table of contents */
	uint64 entries_at;	/* where their number stands in the dump */
	bool offsets_known; /* does an entry say where its data is? */
	int promised;		/* entries */
	List *entries;
	ListedEntry *listing; /* the last one, while it comes */

	/* the data */
	int blocks_missing;
	int searched;		   /* where the entry of the last block was found */
	ListedEntry *arriving; /* entry of the block that is read */
	int block_type;
	bool counting; /* lines of this block */
	uint64 lines;
	char last[DUMP_TRAILER_LENGTH]; /* bytes of the block */
	size_t chunk_left;

	/* entry whose data is passed on; NULL: none */
	DumpDataTaker taker;
	void *taker_argument;
	int taken_id;
};

/* each processes a complete value and sets the next step */
extern DumpStep dump_accept_header(DumpFile *dump);
extern DumpStep dump_accept_entry(DumpFile *dump);
extern DumpStep dump_accept_data(DumpFile *dump);
extern void dump_count_rows(DumpFile *dump, const char *data, size_t length);

#endif /* PGMAINT_DUMPPARTS_H */
