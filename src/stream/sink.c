/*-------------------------------------------------------------------------
 *
 * sink.c
 *	  The part that all chains of sinks have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "stream/sink.h"

/*
 * Make a sink of this size in front of another.  The last of a chain, which
 * is made first, brings the memory of all of them.
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
 * Hand bytes to the first sink that does something with them.
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
 * Close a chain, the first sink first, so that each can write out what it
 * still has.  When one fails, it and those after it are aborted at once: the
 * others have ended, and the caller has nothing left to do.
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
 * Give a chain up.  Each sink is told once, whatever happened before; a sink
 * that has ended, or was never begun, has nothing to release.
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
 * context goes.
 */
void
/* cppcheck-suppress unusedFunction ; test/modules is not looked at */
sink_free(Sink *sink)
{
	Assert(sink->state != SINK_OPEN);
	MemoryContextDelete(sink->context);
}
