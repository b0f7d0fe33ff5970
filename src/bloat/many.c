/*-------------------------------------------------------------------------
 *
 * many.c
 *	  The bloat of many relations at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/subtransaction.h"
#include "bloat/many.h"
#include "bloat/relations.h"
#include "bloat/tail.h"

/*
 * Room for one more result.
 */
void *
next_result(BloatCall *call)
{
	Size size = call->indexes ? sizeof(IndexBloat) : sizeof(TableBloat);
	char *results = (char *) call->results.tables;

	if (call->nresults == call->room)
	{
		call->room = Max(call->room * 2, 64);
		if (results == NULL)
			results = MemoryContextAllocHuge(call->context, call->room * size);
		else
			results = repalloc_huge(results, call->room * size);
		call->results.tables = (TableBloat *) results;
	}
	return results + size * call->nresults++;
}

/*
 * Gets the lock on a relation that was not asked for by name, without waiting
 * for it: a session that rewrites one table must not hold up the report on all
 * other tables.  Returns NULL if the relation is locked or gone.
 */
static Relation
open_without_waiting(Oid relid)
{
	Relation rel;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
	{
		char *name = get_rel_name(relid);

		if (name != NULL)
			ereport(NOTICE,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("skipping \"%s\": lock not available", name)));
		return NULL;
	}
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, AccessShareLock);
	return rel;
}

static void
measure_one_table(BloatCall *call, Oid relid)
{
	Relation rel = open_without_waiting(relid);
	TableBloat bloat;

	if (rel == NULL)
		return;
	if (table_can_be_measured(rel, false) && table_size(rel) >= call->min_size)
	{
		measure_open_table(rel, call->precision, call->seed, &bloat);
		bloat.tail_bytes = call->tails ? free_tail_bytes(rel) : 0;
		*(TableBloat *) next_result(call) = bloat;
	}
	relation_close(rel, AccessShareLock);
}

static void
measure_one_index(BloatCall *call, Oid indexid)
{
	Oid tableid = IndexGetRelation(indexid, true);
	Relation table;
	Relation index;
	IndexBloat bloat;

	if (!OidIsValid(tableid))
		return;
	table = open_without_waiting(tableid);
	if (table == NULL)
		return;
	index = open_without_waiting(indexid);
	if (index != NULL)
	{
		if (index_can_be_measured(index, false) &&
			(call->unknown || index_bloat_can_be_known(index)) &&
			index->rd_index->indrelid == tableid &&
			(int64) RelationGetNumberOfBlocks(index) * BLCKSZ >=
				call->min_size)
		{
			MemoryContext caller = MemoryContextSwitchTo(call->context);

			measure_open_index(index, table, call->precision, call->seed,
							   &bloat);
			MemoryContextSwitchTo(caller);
			*(IndexBloat *) next_result(call) = bloat;
		}
		relation_close(index, AccessShareLock);
	}
	relation_close(table, AccessShareLock);
}

/* one of many relations */
typedef struct Measurement
{
	BloatCall *call;
	Oid relid;
} Measurement;

static void
measure_one(void *argument)
{
	const Measurement *measurement = argument;

	if (measurement->call->indexes)
		measure_one_index(measurement->call, measurement->relid);
	else
		measure_one_table(measurement->call, measurement->relid);
}

/*
 * Measures one of many relations in a subtransaction, so that damage to one
 * of them (a page that fails its checksum, say) costs no more than its row.
 */
static void
try_to_measure_one(BloatCall *call, Oid relid)
{
	Measurement measurement = {call, relid};
	ErrorData *error = try_in_subtransaction(measure_one, &measurement);
	char *name;

	if (error == NULL)
		return;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	name = get_rel_name(relid);
	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("could not measure the bloat of \"%s\": %s",
							 name != NULL ? name : "", error->message)));
	FreeErrorData(error);
}

static int
compare_tables(const void *a, const void *b)
{
	const TableBloat *left = a;
	const TableBloat *right = b;

	if (left->bloat_bytes != right->bloat_bytes)
		return left->bloat_bytes > right->bloat_bytes ? -1 : 1;
	return (left->relid > right->relid) - (left->relid < right->relid);
}

static int
compare_indexes(const void *a, const void *b)
{
	const IndexBloat *left = a;
	const IndexBloat *right = b;

	if (left->has_bloat != right->has_bloat)
		return left->has_bloat ? -1 : 1;
	if (left->bloat_bytes != right->bloat_bytes)
		return left->bloat_bytes > right->bloat_bytes ? -1 : 1;
	return (left->indexid > right->indexid) - (left->indexid < right->indexid);
}

/*
 * Measures all of these relations, worst first.
 */
void
measure_all(BloatCall *call, List *relids)
{
	ListCell *cell;

	foreach (cell, relids)
	{
		CHECK_FOR_INTERRUPTS();
		try_to_measure_one(call, lfirst_oid(cell));
	}
	if (call->nresults == 0)
		return;
	if (call->indexes)
		qsort(call->results.indexes, call->nresults, sizeof(IndexBloat),
			  compare_indexes);
	else
		qsort(call->results.tables, call->nresults, sizeof(TableBloat),
			  compare_tables);
}

/*
 * Measures one table now, unless it is locked or gone.
 */
bool
measure_unless_locked(Oid relid, double precision, bool tails,
					  TableBloat *bloat)
{
	BloatCall call = {0};

	call.tails = tails;
	call.precision = precision;
	call.seed = sampler_seed();
	call.context = CurrentMemoryContext;
	measure_all(&call, list_make1_oid(relid));
	if (call.nresults == 0)
		return false;
	*bloat = call.results.tables[0];
	return true;
}
