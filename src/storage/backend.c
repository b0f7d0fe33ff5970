/*-------------------------------------------------------------------------
 *
 * backend.c
 *	  Functions that all kinds of storage share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/backend.h"

bool storage_written = false;

void
storage_reset_written(void)
{
	storage_written = false;
}

bool
storage_was_written(void)
{
	return storage_written;
}

const char *
storage_name(const Storage *storage)
{
	return storage->options->name;
}
