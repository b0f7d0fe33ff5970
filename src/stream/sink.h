/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  Where bytes go: a chain of sinks, each of which does one thing with them
 *	  and hands them on.
 *
 * The room stream: bytes on their way, whatever the size of what they
 * belong to: COPY captured, compressed, hashed, read as a dump.
 *
 * A chain is made from its end to its beginning, and used through its first
 * sink: sink_begin, sink_write for whatever there is, sink_end.  Whoever has
 * begun a chain calls sink_abort in its PG_CATCH.  sink_end needs none around
 * it: when it fails, it has aborted the chain.  A chain can also be aborted
 * without an ERROR, when what it got turns out not to be wanted.  When the
 * process is told to terminate, none of this is called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SINK_H
#define PGMAINT_SINK_H

typedef struct Sink Sink;

/*
 * What a sink does.  Where it has nothing to do there is NULL, and a write
 * goes to the next sink.
 *
 * begin is called once, and may already write to the next sink.
 *
 * write is called in a memory context that may be gone after it: what a sink
 * keeps belongs into the chain's.
 *
 * end may still write to the next sink, which ends after it.
 *
 * abort releases what is not PostgreSQL's.  It is called instead of end, or
 * after an end that failed, and must not raise an ERROR; begin need not have
 * come to its end.
 */
typedef struct SinkOps
{
	void (*begin)(Sink *sink);
	void (*write)(Sink *sink, const char *data, size_t length);
	void (*end)(Sink *sink);
	void (*abort)(Sink *sink);
} SinkOps;

typedef enum SinkState
{
	SINK_READY,
	SINK_OPEN,
	SINK_ENDED,
	SINK_ABORTED
} SinkState;

/* the beginning of every sink's own struct */
struct Sink
{
	const SinkOps *ops;
	Sink *next;			   /* NULL at the end of the chain */
	MemoryContext context; /* of the whole chain */
	SinkState state;
};

extern Sink *sink_create(const SinkOps *ops, Size size, Sink *next);
extern void sink_begin(Sink *sink);
extern void sink_write(Sink *sink, const char *data, size_t length);
extern void sink_end(Sink *sink);
extern void sink_abort(Sink *sink);
extern void sink_free(Sink *sink);

#endif /* PGMAINT_SINK_H */
