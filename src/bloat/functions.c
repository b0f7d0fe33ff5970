/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  pgmaint.table_bloat and pgmaint.index_bloat.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "bloat/index_bloat.h"
#include "bloat/relations.h"
#include "bloat/table_bloat.h"

#define BLOAT_COLUMNS 10

/* what a function was called with, and what it found */
typedef struct BloatCall
{
	bool indexes;
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

PG_FUNCTION_INFO_V1(pgmaint_table_bloat);
PG_FUNCTION_INFO_V1(pgmaint_index_bloat);

/*
 * The arguments that both functions share: precision, seed, min_size.
 */
static void
read_arguments(FunctionCallInfo fcinfo, BloatCall *call)
{
	call->context = CurrentMemoryContext;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("precision must not be null")));
	call->precision = PG_GETARG_FLOAT8(1);
	if (isnan(call->precision) || call->precision <= 0 ||
		call->precision >= 0.5)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("precision must be greater than 0 and less than 0.5"),
				 errhint("It is the margin to reach, as a share of the "
						 "relation: 0.01 is one percentage point.")));

	if (PG_ARGISNULL(2))
	{
		if (!pg_strong_random(&call->seed, sizeof(call->seed)))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
							errmsg("could not generate a random seed")));
	}
	else
	{
		uint64 seed = (uint64) PG_GETARG_INT64(2);

		call->seed = (uint32) (seed ^ (seed >> 32));
	}

	call->min_size = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	if (call->min_size < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("min_size must not be negative")));
}

/*
 * Room for one more result.
 */
static void *
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
 * for it: whoever rewrites a table should not hold up the report on all the
 * others.  Returns NULL if the relation is locked or gone.
 */
static Relation
open_without_waiting(Oid relid)
{
	Relation rel;
	char *name;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
	{
		name = get_rel_name(relid);
		if (name != NULL)
			ereport(NOTICE,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("passing over \"%s\": it is locked", name)));
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

/*
 * Measures one of many relations in a subtransaction, so that damage to one
 * of them (a page that fails its checksum, say) costs no more than its row.
 */
static void
measure_one(BloatCall *call, Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		if (call->indexes)
			measure_one_index(call, relid);
		else
			measure_one_table(call, relid);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData *error;
		char *name;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
				ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();

		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;

		name = get_rel_name(relid);
		ereport(WARNING, (errcode(error->sqlerrcode),
						  errmsg("could not measure the bloat of \"%s\": %s",
								 name != NULL ? name : "", error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
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

	if (left->bloat_bytes != right->bloat_bytes)
		return left->bloat_bytes > right->bloat_bytes ? -1 : 1;
	return (left->indexid > right->indexid) - (left->indexid < right->indexid);
}

/*
 * Measures all of these relations, worst first.
 */
static void
measure_all(BloatCall *call, List *relids)
{
	ListCell *cell;

	foreach (cell, relids)
	{
		CHECK_FOR_INTERRUPTS();
		measure_one(call, lfirst_oid(cell));
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
 * The indexes of a table, if that is what was named instead of an index.
 */
static bool
named_a_table(Oid relid, List **indexes)
{
	Relation rel = open_to_measure(relid);
	char relkind = rel->rd_rel->relkind;
	bool is_table = relkind == RELKIND_RELATION ||
					relkind == RELKIND_MATVIEW ||
					relkind == RELKIND_TOASTVALUE;

	*indexes = is_table ? RelationGetIndexList(rel) : NIL;
	if (is_table && relkind != RELKIND_TOASTVALUE)
		table_can_be_measured(rel, true);
	else if (!is_table)
		index_can_be_measured(rel, true);
	relation_close(rel, AccessShareLock);
	return is_table;
}

/*
 * Readies the set of rows that a function returns.
 */
static Tuplestorestate *
begin_rows(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller;
	Tuplestorestate *rows;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot "
						"accept a set")));
	if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE ||
		(*desc)->natts != BLOAT_COLUMNS)
		elog(ERROR, "unexpected result type");

	caller = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	*desc = CreateTupleDescCopy(*desc);
	rows = tuplestore_begin_heap(
		(rsinfo->allowedModes & SFRM_Materialize_Random) != 0, false,
		work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = rows;
	rsinfo->setDesc = *desc;
	MemoryContextSwitchTo(caller);
	return rows;
}

Datum
pgmaint_table_bloat(PG_FUNCTION_ARGS)
{
	BloatCall call = {0};
	TupleDesc desc;
	Tuplestorestate *rows = begin_rows(fcinfo, &desc);

	read_arguments(fcinfo, &call);
	if (PG_ARGISNULL(0))
		measure_all(&call, list_relations(false));
	else
	{
		TableBloat bloat;

		measure_table_bloat(PG_GETARG_OID(0), call.precision, call.seed,
							&bloat);
		*(TableBloat *) next_result(&call) = bloat;
	}

	for (int i = 0; i < call.nresults; i++)
	{
		const TableBloat *bloat = &call.results.tables[i];
		bool nulls[BLOAT_COLUMNS] = {0};
		Datum values[BLOAT_COLUMNS] = {
			ObjectIdGetDatum(bloat->relid),
			Int64GetDatum(bloat->total_bytes),
			Int64GetDatum(bloat->live_bytes),
			Int64GetDatum(bloat->dead_bytes),
			Int64GetDatum(bloat->free_bytes),
			Int64GetDatum(bloat->bloat_bytes),
			Float8GetDatum(bloat->bloat_ratio),
			Float8GetDatum(bloat->margin),
			Int64GetDatum(bloat->sampled_blocks),
			Int64GetDatum(bloat->total_blocks),
		};

		tuplestore_putvalues(rows, desc, values, nulls);
	}
	return (Datum) 0;
}

Datum
pgmaint_index_bloat(PG_FUNCTION_ARGS)
{
	BloatCall call = {.indexes = true};
	TupleDesc desc;
	Tuplestorestate *rows = begin_rows(fcinfo, &desc);
	List *relids;

	read_arguments(fcinfo, &call);
	if (PG_ARGISNULL(0))
		measure_all(&call, list_relations(true));
	else if (named_a_table(PG_GETARG_OID(0), &relids))
	{
		call.min_size = 0;
		measure_all(&call, relids);
	}
	else
	{
		IndexBloat bloat;

		measure_index_bloat(PG_GETARG_OID(0), call.precision, call.seed,
							&bloat);
		*(IndexBloat *) next_result(&call) = bloat;
	}

	for (int i = 0; i < call.nresults; i++)
	{
		const IndexBloat *bloat = &call.results.indexes[i];
		bool nulls[BLOAT_COLUMNS] = {0};
		Datum values[BLOAT_COLUMNS] = {
			ObjectIdGetDatum(bloat->indexid),
			ObjectIdGetDatum(bloat->relid),
			CStringGetTextDatum(bloat->method),
			Int64GetDatum(bloat->total_bytes),
			Int64GetDatum(bloat->bloat_bytes),
			Float8GetDatum(bloat->bloat_ratio),
			Float8GetDatum(bloat->margin),
			Float8GetDatum(bloat->leaf_density),
			Int64GetDatum(bloat->sampled_blocks),
			Int64GetDatum(bloat->total_blocks),
		};

		nulls[7] = !bloat->has_density;
		tuplestore_putvalues(rows, desc, values, nulls);
	}
	return (Datum) 0;
}
