/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Where bytes come from: a chain of sources, each of which takes bytes from
 *	  the one before it and does one thing with them.
 *
 * A chain is made from its beginning to its end, and read through its last
 * source.  Whoever has made one calls source_close, in PG_CATCH too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SOURCE_H
#define PGMAINT_SOURCE_H

typedef struct Source Source;

/*
 * What a source does.
 *
 * read fills the buffer with at least one byte and at most size, or returns 0
 * when there is nothing more; it raises an ERROR when what it gets breaks off.
 *
 * close releases what is not PostgreSQL's, and must not raise an ERROR; NULL
 * where there is no such thing.
 */
typedef struct SourceOps
{
	size_t (*read)(Source *source, char *buffer, size_t size);
	void (*close)(Source *source);
} SourceOps;

/* the beginning of every source's own struct */
struct Source
{
	const SourceOps *ops;
	Source *from;		   /* NULL at the beginning of the chain */
	MemoryContext context; /* of the whole chain */
	bool closed;
};

extern Source *source_create(const SourceOps *ops, Size size, Source *from);
extern size_t source_read(Source *source, char *buffer, size_t size);
extern void source_close(Source *source);
extern void source_free(Source *source);

#endif /* PGMAINT_SOURCE_H */
