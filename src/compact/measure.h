/*-------------------------------------------------------------------------
 *
 * measure.h
 *	  How much a compaction would free.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPACT_MEASURE_H
#define PGMAINT_COMPACT_MEASURE_H

#include "bloat/table_bloat.h"

extern bool measure_heap(Oid relation, TableBloat *bloat);
extern double heap_bloat_ratio(const TableBloat *bloat);

#endif /* PGMAINT_COMPACT_MEASURE_H */
