/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL function for advice on indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "advice/advise.h"
#include "advice/report.h"
#include "base/compat.h"

PG_FUNCTION_INFO_V1(pgmaint_index_advice);

/*
 * Read a numeric argument; one that is out of range is an error.
 */
static double
checked_number(FunctionCallInfo fcinfo, int argument, const char *name,
			   double minimum, double maximum, bool is_integer)
{
	double value;

	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", name)));
	value = is_integer ? (double) PG_GETARG_INT64(argument)
					   : PG_GETARG_FLOAT8(argument);
	if (isnan(value) || value < minimum || value > maximum)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be from %g to %g", name, minimum, maximum)));
	return value;
}

/*
 * pgmaint.index_advice(min_calls, min_mean_ms, min_gain, min_size,
 *						max_statements)
 */
Datum
pgmaint_index_advice(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	AdviceLimits limits;
	AdviceResult result;
	ListCell *cell;

	limits.min_calls =
		(int64) checked_number(fcinfo, 0, "min_calls", 1, 1e15, true);
	limits.min_mean_ms =
		checked_number(fcinfo, 1, "min_mean_ms", 0, 1e9, false);
	limits.min_gain = checked_number(fcinfo, 2, "min_gain", 0.01, 1, false);
	limits.min_bytes = checked_number(fcinfo, 3, "min_size", 0, 1e15, true);
	limits.max_statements =
		(int) checked_number(fcinfo, 4, "max_statements", 1, 10000, true);

	materialize_result(fcinfo);
	find_advice(&limits, &result);
	foreach (cell, result.advice)
	{
		const Advice *advice = lfirst(cell);
		Datum values[12] = {0};
		bool nulls[12] = {0};

		values[0] = ObjectIdGetDatum(advice->index->relation);
		values[1] = CStringGetTextDatum(advice->command);
		values[2] = CStringGetTextDatum(describe_gain(advice));
		values[3] = CStringGetTextDatum(describe_price(advice));
		values[4] = CStringGetTextDatum(describe_queries(advice));
		nulls[5] = advice->note == NULL;
		if (!nulls[5])
			values[5] = CStringGetTextDatum(advice->note);
		values[6] = CStringGetTextDatum(
			"by the server's planner, with a hypothetical index");
		values[7] = Float8GetDatum(advice->gain_ms);
		values[8] = Float8GetDatum(advice->write_ms);
		values[9] = Int64GetDatum((int64) advice->bytes);
		values[10] = list_query_ids(advice);
		values[11] = list_cost_ratios(advice);
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	report_left_out(&result);
	return (Datum) 0;
}
