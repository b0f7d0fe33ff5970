/*-------------------------------------------------------------------------
 *
 * check_groups.c
 *	  The groups of checks of pgmaint.validate(), each executed by itself.
 *
 * One unusual object may make a query over all objects fail.  Then the group
 * returns one row with the error, and the other groups are not affected.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/error_text.h"
#include "base/rights.h"
#include "base/subtransaction.h"

PG_FUNCTION_INFO_V1(pgmaint_check_group);

/* check_id, status, detail, expected, object */
#define CHECK_COLUMNS 5

static const char *const groups[] = {
	"validate_backups",	 "validate_data",		 "validate_escalation",
	"validate_identity", "validate_maintenance", "validate_replication",
	"validate_server",	 "validate_storages",
};

typedef struct GroupCall
{
	const char *group;
	ReturnSetInfo *result;
} GroupCall;

static const char *
known_group(const char *name)
{
	for (int i = 0; i < lengthof(groups); i++)
	{
		if (strcmp(groups[i], name) == 0)
			return groups[i];
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("group of checks \"%s\" does not exist", name)));
	return NULL; /* keep the linters quiet */
}

/*
 * The rows reach the result only when all checks of the group have succeeded:
 * a group is either complete or one failure.
 */
static void
make_checks(void *argument)
{
	GroupCall *call = argument;
	TupleDesc descriptor = call->result->setDesc;

	SPI_connect();
	if (SPI_execute(
			psprintf("SELECT check_id, status, detail, expected, object "
					 "FROM pgmaint_internal.%s()",
					 call->group),
			true, 0) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed: %s",
			 SPI_result_code_string(SPI_result));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Datum values[CHECK_COLUMNS];
		bool nulls[CHECK_COLUMNS];

		heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						  values, nulls);
		tuplestore_putvalues(call->result->setResult, descriptor, values,
							 nulls);
	}
	SPI_finish();
}

/*
 * pgmaint_internal.check_group(name text)
 */
Datum
pgmaint_check_group(PG_FUNCTION_ARGS)
{
	GroupCall call = {0};
	ErrorData *error;
	Datum values[CHECK_COLUMNS] = {0};
	bool nulls[CHECK_COLUMNS] = {0};

	call.group = known_group(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	require_extension();
	materialize_result(fcinfo);
	call.result = (ReturnSetInfo *) fcinfo->resultinfo;
	error = try_unless_stopped(make_checks, &call);
	if (error == NULL)
		return (Datum) 0;
	values[0] = CStringGetTextDatum(call.group);
	values[1] = CStringGetTextDatum("warning");
	values[2] = CStringGetTextDatum(
		psprintf("checks failed with an error: %s", error_text(error)));
	values[3] = CStringGetTextDatum("all checks of the group succeed");
	nulls[4] = true;
	tuplestore_putvalues(call.result->setResult, call.result->setDesc, values,
						 nulls);
	return (Datum) 0;
}
