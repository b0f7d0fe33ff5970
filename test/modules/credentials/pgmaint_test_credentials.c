/*-------------------------------------------------------------------------
 *
 * pgmaint_test_credentials.c
 *	  SQL functions that look for a storage's keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/credentials.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(open_chain);
PG_FUNCTION_INFO_V1(current_keys);
PG_FUNCTION_INFO_V1(discard_keys);
PG_FUNCTION_INFO_V1(region_of);

static MemoryContext chain_context = NULL;
static CredentialChain *chain = NULL;

/* open_chain(storage text) returns void: for the rest of the session */
Datum
open_chain(PG_FUNCTION_ARGS)
{
	char *storage = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MemoryContext previous;

	chain = NULL;
	if (chain_context != NULL)
		MemoryContextDelete(chain_context);
	chain_context = AllocSetContextCreate(TopMemoryContext, "chain of a test",
										  ALLOCSET_DEFAULT_SIZES);
	previous = MemoryContextSwitchTo(chain_context);
	chain = credential_chain_create(read_storage_options(storage),
									http_client_create());
	MemoryContextSwitchTo(previous);
	PG_RETURN_VOID();
}

/*
 * current_keys(OUT key text, OUT secret text, OUT token text,
 *		OUT expires timestamptz, OUT origin text)
 */
Datum
current_keys(PG_FUNCTION_ARGS)
{
	const Credentials *keys = current_credentials(chain);
	TupleDesc descriptor;
	Datum values[5] = {0};
	bool nulls[5] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = CStringGetTextDatum(keys->access_key_id);
	values[1] = CStringGetTextDatum(keys->secret_access_key);
	if (keys->session_token != NULL)
		values[2] = CStringGetTextDatum(keys->session_token);
	nulls[2] = keys->session_token == NULL;
	values[3] = TimestampTzGetDatum(keys->expires);
	values[4] = CStringGetTextDatum(keys->origin);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/* discard_keys() returns void */
Datum
discard_keys(PG_FUNCTION_ARGS)
{
	discard_credentials(chain);
	PG_RETURN_VOID();
}

/* region_of(storage text) returns text */
Datum
region_of(PG_FUNCTION_ARGS)
{
	char *region = machine_region(
		read_storage_options(text_to_cstring(PG_GETARG_TEXT_PP(0))));

	if (region == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(region));
}
