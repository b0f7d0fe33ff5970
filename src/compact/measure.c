/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  How much a compaction would free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bloat/many.h"
#include "compact/measure.h"

/* the margin to measure to */
#define MAX_MARGIN 0.02

/*
 * Measure a table now, unless it is locked or gone.
 */
bool
measure_heap(Oid relation, TableBloat *bloat)
{
	return measure_unless_locked(relation, MAX_MARGIN, false, bloat);
}

/*
 * The TOAST table does not count: its rows are not moved.
 */
double
heap_bloat_ratio(const TableBloat *bloat)
{
	return bloat->heap_bytes > 0
			   ? (double) bloat->heap_bloat_bytes / (double) bloat->heap_bytes
			   : 0;
}
