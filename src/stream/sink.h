/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  Chains of sinks: each sink processes bytes and passes them on to the
 *	  next.
 *
 * The room stream: streams of bytes of any size: COPY captured, compressed,
 * hashed, read as a dump.
 *
 * A chain is created from its end to its beginning, and used through its first
 * sink: sink_begin, sink_write any number of times, sink_end.  The code that
 * began a chain calls sink_abort in its PG_CATCH.  sink_end needs no PG_TRY:
 * when it fails, it has aborted the chain.  A chain can also be aborted
 * without an ERROR, when its output turns out not to be needed.  When the
 * process is told to terminate, none of this is called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SINK_H
#define PGMAINT_SINK_H

typedef struct Sink Sink;

/*
 * The functions of a sink.  A function that is not needed is NULL, and a write
 * is passed to the next sink.
 *
 * begin is called once, and may already write to the next sink.
 *
 * write is called in a memory context that may be deleted after it: a sink
 * allocates its state in the chain's.
 *
 * end may still write to the next sink, which ends after it.
 *
 * abort releases resources that PostgreSQL does not manage.  It is called
 * instead of end, or after an end that failed, and must not raise an ERROR;
 * begin need not have completed.
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
