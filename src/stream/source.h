/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Chains of sources: each source reads bytes from the one before it and
 *	  processes them.
 *
 * A chain is created from its beginning to its end, and read through its last
 * source.  The code that created one calls source_close, in PG_CATCH too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SOURCE_H
#define PGMAINT_SOURCE_H

typedef struct Source Source;

/*
 * The functions of a source.
 *
 * read fills the buffer with at least one byte and at most size, or returns 0
 * at the end; it raises an ERROR if its input is truncated.
 *
 * close releases resources that PostgreSQL does not manage, and must not raise
 * an ERROR; NULL if there are none.
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
