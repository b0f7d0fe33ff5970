/*-------------------------------------------------------------------------
 *
 * dumpfile.h
 *	  Reads the contents of a dump of pg_dump --format=custom while its bytes
 *	  pass through.
 *
 * Names and definitions are kept in the encoding of the dump
 * (dump_file_encoding) and not verified: callers that show or store them
 * convert them with pg_any_to_server.  The rows themselves are not kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DUMPFILE_H
#define PGMAINT_DUMPFILE_H

#include "nodes/pg_list.h"

#include "stream/sink.h"

/* one entry of the table of contents */
typedef struct DumpEntry
{
	int dump_id;
	Oid oid;			  /* of the object, for TABLE DATA of the table, in the
							 database that was dumped; 0 where it has none */
	char *description;	  /* TABLE, TABLE DATA, INDEX, SEQUENCE SET, ... */
	char *schema;		  /* NULL where there is none, as below */
	char *tag;			  /* the name; with arguments, or a table's before it,
							 where these belong to it */
	char *owner;		  /* or NULL */
	char *definition;	  /* or NULL */
	char *copy_statement; /* of TABLE DATA, or NULL with --inserts */
	List *dependencies;	  /* of int, dump_ids */
	bool has_data;		  /* a data block follows the table of contents */

	/*
	 * Rows of TABLE DATA, large objects of BLOBS, once their block has gone
	 * by; -1 where it has not, and where the rows of a table cannot be
	 * counted, because they are compressed or INSERT statements.
	 */
	int64 rows;
} DumpEntry;

typedef struct DumpFile DumpFile;

/* in the current memory context, which must live as long */
extern DumpFile *dump_file_create(void);
/* pass the data of this entry to a function while it is read */
typedef void (*DumpDataTaker)(void *argument, const char *data, size_t length);
extern void dump_file_take_data(DumpFile *dump, int dump_id,
								DumpDataTaker taker, void *argument);
/* pieces of any size, in order */
extern void dump_file_feed(DumpFile *dump, const char *data, size_t length);
/* raises an ERROR where something is missing */
extern void dump_file_end(DumpFile *dump);

/* was the whole table of contents read?  The following are known from then */
extern bool dump_file_listed(const DumpFile *dump);
/* of DumpEntry *, in the order of the table of contents */
extern List *dump_file_entries(const DumpFile *dump);
/* its name is as pg_dump was given it, in whatever encoding */
extern const char *dump_file_database(const DumpFile *dump);
extern const char *dump_file_server_version(const DumpFile *dump);
extern const char *dump_file_program_version(const DumpFile *dump);
/* by pg_dump itself: then data is no text */
extern bool dump_file_compressed(const DumpFile *dump);
/* one of pg_enc, or -1 where the dump names none that is known here */
extern int dump_file_encoding(const DumpFile *dump);

/* a sink that feeds the dump with what passes, and ends it with its own end */
extern Sink *dump_watch_create(DumpFile *dump, Sink *next);

#endif /* PGMAINT_DUMPFILE_H */
