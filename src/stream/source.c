/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Functions that all chains of sources share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "stream/source.h"

/*
 * Create a source of this size behind another.  The first of a chain, which is
 * created first, owns the memory context of the chain.
 */
Source *
source_create(const SourceOps *ops, Size size, Source *from)
{
	MemoryContext context =
		from != NULL
			? from->context
			: AllocSetContextCreate(CurrentMemoryContext, "pgmaint source",
									ALLOCSET_DEFAULT_SIZES);
	Source *source = MemoryContextAllocZero(context, size);

	source->ops = ops;
	source->from = from;
	source->context = context;
	source->closed = false;
	return source;
}

/*
 * Read at least one byte and at most size; 0 at the end.
 */
size_t
/* NOLINTNEXTLINE(misc-no-recursion): a chain is short */
source_read(Source *source, char *buffer, size_t size)
{
	Assert(!source->closed && size > 0);
	return source->ops->read(source, buffer, size);
}

/*
 * Release the resources of the chain other than memory.  A second call does
 * nothing.
 */
void
source_close(Source *source)
{
	for (Source *part = source; part != NULL; part = part->from)
	{
		if (!part->closed && part->ops->close != NULL)
			part->ops->close(part);
		part->closed = true;
	}
}

/*
 * Free the memory of a chain that is closed, before its parent context is
 * deleted.
 */
void
source_free(Source *source)
{
	Assert(source->closed);
	MemoryContextDelete(source->context);
}
