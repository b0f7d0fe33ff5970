/*-------------------------------------------------------------------------
 *
 * many.h
 *	  The bloat of many relations at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_MANY_H
#define PGMAINT_BLOAT_MANY_H

#include "nodes/pg_list.h"

#include "bloat/index_bloat.h"
#include "bloat/table_bloat.h"

/* what a function was called with, and what it found */
typedef struct BloatCall
{
	bool indexes;
	bool tails;	  /* fill in tail_bytes, too */
	bool unknown; /* indexes whose bloat cannot be known, too */
	double precision;
	uint32 seed;
	int64 min_size;
	int nresults;
	int room;
	union
	{
		TableBloat *tables;
		IndexBloat *indexes;
	} results;
	MemoryContext context;
} BloatCall;

extern void *next_result(BloatCall *call);
extern void measure_all(BloatCall *call, List *relids);
extern bool measure_unless_locked(Oid relid, double precision, bool tails,
								  TableBloat *bloat);

#endif /* PGMAINT_BLOAT_MANY_H */
