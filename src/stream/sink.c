/*-------------------------------------------------------------------------
 *
 * sink.c
 *	  Functions that all chains of sinks share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "stream/sink.h"

/*
 * Create a sink of this size in front of another.  The last of a chain, which
 * is created first, owns the memory context of the chain.
 */
Sink *
sink_create(const SinkOps *ops, Size size, Sink *next)
{
	MemoryContext context =
		next != NULL
			? next->context
			: AllocSetContextCreate(CurrentMemoryContext, "pgmaint stream",
									ALLOCSET_DEFAULT_SIZES);
	Sink *sink = MemoryContextAllocZero(context, size);

	sink->ops = ops;
	sink->next = next;
	sink->context = context;
	sink->state = SINK_READY;
	return sink;
}

/*
 * Open a chain, the last sink first, so that each can write to the next.
 */
void
/* NOLINTNEXTLINE(misc-no-recursion): a chain is short */
sink_begin(Sink *sink)
{
	Assert(sink->state == SINK_READY);
	if (sink->next != NULL)
		sink_begin(sink->next);
	sink->state = SINK_OPEN;
	if (sink->ops->begin != NULL)
		sink->ops->begin(sink);
}

/*
 * Pass bytes to the first sink that has a write function.
 */
void
sink_write(Sink *sink, const char *data, size_t length)
{
	Assert(sink->state == SINK_OPEN);
	while (sink != NULL && sink->ops->write == NULL)
		sink = sink->next;
	if (sink != NULL)
		sink->ops->write(sink, data, length);
}

/*
 * End a chain, the first sink first, so that each can write its remaining
 * bytes.  When one fails, it and those after it are aborted at once; the
 * caller has nothing left to do.
 */
void
sink_end(Sink *sink)
{
	PG_TRY();
	{
		for (Sink *part = sink; part != NULL; part = part->next)
		{
			Assert(part->state == SINK_OPEN);
			if (part->ops->end != NULL)
				part->ops->end(part);
			part->state = SINK_ENDED;
		}
	}
	PG_CATCH();
	{
		sink_abort(sink);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Abort a chain.  The abort function of each sink is called at most once; a
 * sink that has ended, or was never begun, has nothing to release.
 */
void
sink_abort(Sink *sink)
{
	for (Sink *part = sink; part != NULL; part = part->next)
	{
		bool was_open = part->state == SINK_OPEN;

		if (part->state != SINK_ENDED)
			part->state = SINK_ABORTED;
		if (was_open && part->ops->abort != NULL)
			part->ops->abort(part);
	}
}

/*
 * Free the memory of a chain that has ended or was aborted, before its parent
 * context is deleted.
 */
void
/* cppcheck-suppress unusedFunction ; test/modules is not looked at */
sink_free(Sink *sink)
{
	Assert(sink->state != SINK_OPEN);
	MemoryContextDelete(sink->context);
}
