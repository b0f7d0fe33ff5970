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
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "bloat/many.h"
#include "bloat/relations.h"

#define BLOAT_COLUMNS 10

PG_FUNCTION_INFO_V1(pgmaint_table_bloat);
PG_FUNCTION_INFO_V1(pgmaint_index_bloat);

/*
 * The arguments that both functions share: max_margin, seed, min_size.
 */
static void
read_arguments(FunctionCallInfo fcinfo, BloatCall *call)
{
	call->context = CurrentMemoryContext;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("max_margin must not be null")));
	call->precision = PG_GETARG_FLOAT8(1);
	if (isnan(call->precision) || call->precision <= 0 ||
		call->precision >= 0.5)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("max_margin must be greater than 0 and less than 0.5"),
			 errhint(
				 "max_margin is the margin to reach, as a share of the relation: 0.01 is one percentage point.")));

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
 * Measures the indexes of a table, if that is what was named instead of an
 * index.  The table stays open meanwhile, so that no other session rewrites
 * it.
 */
static bool
measure_indexes_of_table(BloatCall *call, Oid relid)
{
	Relation rel = open_to_measure(relid);
	char relkind = rel->rd_rel->relkind;
	bool is_table = relkind == RELKIND_RELATION ||
					relkind == RELKIND_MATVIEW ||
					relkind == RELKIND_TOASTVALUE;

	if (is_table)
	{
		if (relkind != RELKIND_TOASTVALUE)
			table_can_be_measured(rel, true);
		call->min_size = 0;
		call->unknown = true;
		measure_all(call, RelationGetIndexList(rel));
	}
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

	read_arguments(fcinfo, &call);
	if (PG_ARGISNULL(0))
		measure_all(&call, list_relations(true));
	else if (!measure_indexes_of_table(&call, PG_GETARG_OID(0)))
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

		nulls[4] = nulls[5] = nulls[6] = !bloat->has_bloat;
		nulls[7] = !bloat->has_density;
		tuplestore_putvalues(rows, desc, values, nulls);
	}
	return (Datum) 0;
}
