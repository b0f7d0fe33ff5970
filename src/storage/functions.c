/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  pgmaint.list_objects and pgmaint.check_storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/random.h"
#include "base/subtransaction.h"
#include "storage/storage.h"

#define LIST_COLUMNS 5
#define CHECK_COLUMNS 4

/* key of the probe of a check, without its random end */
#define PROBE_PREFIX ".pgmaint-check-"
#define PROBE_TEXT "This is a probe of pgmaint.check_storage()."

PG_FUNCTION_INFO_V1(pgmaint_list_objects);
PG_FUNCTION_INFO_V1(pgmaint_check_storage);

/*
 * An argument that must not be null.
 */
static char *
required_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

typedef struct Listing
{
	ReturnSetInfo *result;
	MemoryContext scratch; /* of one row */
} Listing;

/*
 * A row of pgmaint.list_objects().
 */
static bool
put_object(void *context, const StoredObject *object)
{
	const Listing *listing = context;
	MemoryContext caller = MemoryContextSwitchTo(listing->scratch);
	Datum values[LIST_COLUMNS] = {CStringGetTextDatum(object->key),
								  Int64GetDatum(object->bytes),
								  TimestampTzGetDatum(object->modified)};
	bool nulls[LIST_COLUMNS] = {false};

	CHECK_FOR_INTERRUPTS();
	nulls[3] = object->etag == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(object->etag);
	values[4] =
		DirectFunctionCall1(pg_size_pretty, Int64GetDatum(object->bytes));
	tuplestore_putvalues(listing->result->setResult, listing->result->setDesc,
						 values, nulls);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(listing->scratch);
	return true;
}

/*
 * pgmaint.list_objects(storage text, prefix text) returns setof record
 */
Datum
pgmaint_list_objects(PG_FUNCTION_ARGS)
{
	char *name = required_text(fcinfo, 0, "storage");
	char *prefix = required_text(fcinfo, 1, "prefix");
	Storage *storage = storage_open(name, STORAGE_READ);
	Listing listing;

	materialize_result(fcinfo);
	listing.result = (ReturnSetInfo *) fcinfo->resultinfo;
	listing.scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint listing", ALLOCSET_DEFAULT_SIZES);
	storage_list(storage, prefix, put_object, &listing);
	return (Datum) 0;
}

/* one look at a storage, in steps that each may fail */
typedef struct Check
{
	Storage *storage;
	char *key;
	int step;
	bool is_put;
	bool is_listed;
} Check;

static void
put_probe(Check *check)
{
	storage_put_text(check->storage, check->key, "text/plain", "check",
					 PROBE_TEXT);
	check->is_put = true;
}

/*
 * Raise an ERROR for a storage that reports success but behaves wrongly.
 */
static void
raise_misbehavior(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", what)));
}

static void
head_probe(Check *check)
{
	StoredObject object;

	if (!storage_stat(check->storage, check->key, &object))
		raise_misbehavior("the object that was just written does not exist");
	if (object.bytes != strlen(PROBE_TEXT))
		raise_misbehavior(psprintf(
			"the object that was just written has %lld bytes instead of %zu",
			(long long) object.bytes, strlen(PROBE_TEXT)));
	if (object.mark == NULL || strcmp(object.mark, "check") != 0)
		raise_misbehavior(
			"the object that was just written does not have its mark");
}

static void
get_probe(Check *check)
{
	if (strcmp(storage_get_text(check->storage, check->key, 1024),
			   PROBE_TEXT) != 0)
		raise_misbehavior(
			"the object that was just written was read back with other "
			"contents");
}

static bool
find_probe(void *context, const StoredObject *object)
{
	Check *check = context;

	check->is_listed |= strcmp(object->key, check->key) == 0;
	return !check->is_listed;
}

static void
list_probe(Check *check)
{
	storage_list(check->storage, check->key, find_probe, check);
	if (check->is_put && !check->is_listed)
		raise_misbehavior("the object that was just written is not listed");
}

static void
delete_probe(Check *check)
{
	StoredObject object;

	storage_delete(check->storage, check->key);
	if (check->is_put && storage_stat(check->storage, check->key, &object))
		raise_misbehavior("the object that was just deleted still exists");
}

static const struct
{
	const char *name;
	void (*run)(Check *check);
	bool needs_probe; /* pointless when none could be put */
} steps[] = {
	{"put", put_probe, false},		 {"head", head_probe, true},
	{"get", get_probe, true},		 {"list", list_probe, false},
	{"delete", delete_probe, false},
};

/*
 * The message, detail and hint of an error in one text.
 */
static char *
error_text(const ErrorData *error)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, error->message);
	if (error->detail != NULL)
		appendStringInfo(&text, ". %s", error->detail);
	if (error->hint != NULL)
		appendStringInfo(&text, "%s %s", error->detail != NULL ? "" : ".",
						 error->hint);
	return text.data;
}

static void
run_step(void *argument)
{
	Check *check = argument;

	steps[check->step].run(check);
}

/*
 * Run a step in a subtransaction; returns the error as text, or NULL.  A
 * cancellation ends the whole function.
 */
static char *
try_step(Check *check)
{
	ErrorData *error = try_in_subtransaction(run_step, check);

	if (error == NULL)
		return NULL;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
		ERRCODE_OPERATOR_INTERVENTION)
	{
		error->detail =
			psprintf("Object \"%s\" may be left in the storage.", check->key);
		error->hint = pstrdup("Delete the object if it exists.");
		ReThrowError(error);
	}
	return error_text(error);
}

static Datum
interval_from(instr_time start)
{
	instr_time duration;
	Interval *interval = palloc0(sizeof(Interval));

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	interval->time = (TimeOffset) INSTR_TIME_GET_MICROSEC(duration);
	return IntervalPGetDatum(interval);
}

/*
 * A unique key for the object of the check.
 */
static char *
probe_key(void)
{
	return psprintf(PROBE_PREFIX "%s", random_name(8));
}

/*
 * pgmaint.check_storage(storage text) returns setof record
 */
Datum
pgmaint_check_storage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Check check = {0};

	check.storage =
		storage_open(required_text(fcinfo, 0, "storage"), STORAGE_WRITE);
	check.key = probe_key();
	materialize_result(fcinfo);
	for (int i = 0; i < lengthof(steps); i++)
	{
		bool tried = check.is_put || !steps[i].needs_probe;
		Datum values[CHECK_COLUMNS] = {CStringGetTextDatum(steps[i].name)};
		bool nulls[CHECK_COLUMNS] = {false};
		char *detail = NULL;
		instr_time start;

		check.step = i;
		INSTR_TIME_SET_CURRENT(start);
		if (tried)
			detail = try_step(&check);
		values[1] = CStringGetTextDatum(!tried			 ? "not tried"
										: detail == NULL ? "ok"
														 : "failed");
		nulls[2] = !tried;
		if (tried)
			values[2] = interval_from(start);
		nulls[3] = detail == NULL;
		if (detail != NULL)
			values[3] = CStringGetTextDatum(detail);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
