/*-------------------------------------------------------------------------
 *
 * sample_indexes.c
 *	  Measurements of indexes before a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/wording.h"
#include "bloat/many.h"
#include "reindex/sample_indexes.h"

PG_FUNCTION_INFO_V1(pgmaint_sample_indexes);
PG_FUNCTION_INFO_V1(pgmaint_database_collation_version);

#define SAMPLE_COLUMNS 8

/*
 * pgmaint_internal.sample_indexes(indexes oid[], max_margin double precision)
 */
Datum
pgmaint_sample_indexes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	BloatCall call = {.indexes = true};
	List *indexes = NIL;
	Datum *members;
	int count;

	materialize_result(fcinfo);
	call.precision = PG_GETARG_FLOAT8(1);
	if (!(call.precision > 0 && call.precision < 0.5))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_margin must be greater than 0 and less than "
						"0.5")));
	call.seed = sampler_seed();
	call.context = CurrentMemoryContext;
	deconstruct_array(array, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &members,
					  NULL, &count);
	for (int i = 0; i < count; i++)
		indexes = lappend_oid(indexes, DatumGetObjectId(members[i]));
	measure_all(&call, indexes);

	for (int i = 0; i < call.nresults; i++)
	{
		const IndexBloat *bloat = &call.results.indexes[i];
		bool nulls[SAMPLE_COLUMNS] = {0};
		Datum values[SAMPLE_COLUMNS] = {
			ObjectIdGetDatum(bloat->indexid),
			Int64GetDatum(bloat->total_bytes),
			Int64GetDatum(bloat->bloat_bytes),
			Float8GetDatum(bloat->bloat_ratio),
			Float8GetDatum(bloat->margin),
			Float8GetDatum(bloat->leaf_density),
			Int64GetDatum(bloat->sampled_blocks),
			Int64GetDatum(bloat->total_blocks),
		};

		nulls[5] = !bloat->has_density;
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}

/*
 * Is an index that was found to be bloated when the run was planned also
 * bloated by another sample?  The caller is inside a ledger scope.
 *
 * A rebuild costs a thousand times what a sample does, and the index may have
 * been rebuilt since.  The sample has half the margin of the first and other
 * blocks.  For an index of half the threshold (0.15 of 0.3, margins of 0.03
 * and 0.015) to be rebuilt, the first would have to be 10 standard deviations
 * off, and this one 18: by Chebyshev's inequality, whatever the distribution,
 * that has a probability below 1e-4.  Indexes near the threshold are rebuilt.
 */
HoldBack
confirm_bloat(Oid indexid, char **reason, double threshold, double max_margin)
{
	BloatCall call = {.indexes = true};
	const IndexBloat *bloat;

	call.precision = max_margin / 2;
	call.seed = sampler_seed();
	call.context = CurrentMemoryContext;
	measure_all(&call, list_make1_oid(indexid));
	if (call.nresults == 0)
	{
		*reason =
			"the index could not be measured: the index or its table is locked, or a page cannot be read";
		return HOLD_BACK_RETRY;
	}
	bloat = &call.results.indexes[0];
	if (bloat->bloat_ratio + bloat->margin >= threshold)
		return HOLD_BACK_NOTHING;
	*reason =
		psprintf("not enough bloat by a second sample of pages: %s of %s",
				 size_text(bloat->bloat_bytes), size_text(bloat->total_bytes));
	return HOLD_BACK_SKIP;
}

/*
 * pgmaint_internal.database_collation_version() returns text
 */
Datum
pgmaint_database_collation_version(PG_FUNCTION_ARGS)
{
#if SERVER_KNOWS_DATABASE_COLLATION
	LOCAL_FCINFO(call, 1);
	Datum version;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value = ObjectIdGetDatum(MyDatabaseId);
	call->args[0].isnull = false;
	version = pg_database_collation_actual_version(call);
	if (!call->isnull)
		PG_RETURN_DATUM(version);
#endif
	PG_RETURN_NULL();
}
