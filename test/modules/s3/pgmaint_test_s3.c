/*-------------------------------------------------------------------------
 *
 * pgmaint_test_s3.c
 *	  SQL functions that use storages on S3 as pgmaint's C code does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "storage/sigv4.h"
#include "storage/storage.h"
#include "stream/digest.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(put_bytes);
PG_FUNCTION_INFO_V1(put_many_bytes);
PG_FUNCTION_INFO_V1(get_bytes);
PG_FUNCTION_INFO_V1(get_digest);
PG_FUNCTION_INFO_V1(get_some);
PG_FUNCTION_INFO_V1(object_state);
PG_FUNCTION_INFO_V1(delete_object);
PG_FUNCTION_INFO_V1(remove_unfinished);
PG_FUNCTION_INFO_V1(signed_authorization);

#define TEXT_ARG(n) text_to_cstring(PG_GETARG_TEXT_PP(n))
#define PIECE (64 * 1024)

static Datum
row_of(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}

/*
 * put_bytes(storage text, key text, content bytea, mark text) returns void
 */
Datum
put_bytes(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_WRITE);
	bytea *content = PG_GETARG_BYTEA_PP(2);
	Sink *sink = storage_writer(storage, TEXT_ARG(1), "text/plain",
								PG_ARGISNULL(3) ? NULL : TEXT_ARG(3));

	PG_TRY();
	{
		sink_begin(sink);
		sink_write(sink, VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content));
	}
	PG_CATCH();
	{
		sink_abort(sink);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sink_end(sink);
	PG_RETURN_VOID();
}

/*
 * put_many_bytes(storage text, key text, bytes bigint, fail_at bigint,
 *		OUT sha256 text, OUT peak bigint)
 *
 * They look random, and are always the same.  fail_at: an ERROR after so many.
 */
Datum
put_many_bytes(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_WRITE);
	int64 bytes = PG_GETARG_INT64(2);
	int64 fail_at = PG_ARGISNULL(3) ? -1 : PG_GETARG_INT64(3);
	Sink *last = storage_writer(storage, TEXT_ARG(1),
								"application/octet-stream", "test");
	Sink *sink = digest_create(last);
	uint64 *piece = palloc(PIECE);
	uint64 state = 88172645463325252;
	Size peak = 0;
	Datum values[2];
	bool nulls[2] = {false};

	PG_TRY();
	{
		sink_begin(sink);
		for (int64 done = 0; done < bytes; done += PIECE)
		{
			for (int i = 0; i < PIECE / sizeof(uint64); i++)
			{
				state ^= state << 13;
				state ^= state >> 7;
				state ^= state << 17;
				piece[i] = state;
			}
			CHECK_FOR_INTERRUPTS();
			if (fail_at >= 0 && done >= fail_at)
				ereport(ERROR, (errmsg("had enough")));
			sink_write(sink, (const char *) piece, Min(PIECE, bytes - done));
			peak =
				Max(peak, MemoryContextMemAllocated(TopMemoryContext, true));
		}
	}
	PG_CATCH();
	{
		sink_abort(sink);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sink_end(sink);
	values[0] = CStringGetTextDatum(digest_sha256(sink));
	values[1] = Int64GetDatum((int64) peak);
	PG_RETURN_DATUM(row_of(fcinfo, values, nulls));
}

/*
 * get_bytes(storage text, key text) returns bytea
 */
Datum
get_bytes(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_READ);
	Source *source = storage_reader(storage, TEXT_ARG(1));
	StringInfoData all;
	char buffer[1000];
	size_t length;
	bytea *result;

	initStringInfo(&all);
	while ((length = source_read(source, buffer, sizeof(buffer))) > 0)
		appendBinaryStringInfo(&all, buffer, (int) length);
	source_close(source);
	result = palloc(VARHDRSZ + all.len);
	SET_VARSIZE(result, VARHDRSZ + all.len);
	memcpy(VARDATA(result), all.data, all.len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * get_digest(storage text, key text, OUT sha256 text, OUT bytes bigint)
 */
Datum
get_digest(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_READ);
	Source *source = storage_reader(storage, TEXT_ARG(1));
	Sink *digest = digest_create(NULL);
	char *buffer = palloc(PIECE);
	size_t length;
	Datum values[2];
	bool nulls[2] = {false};

	sink_begin(digest);
	while ((length = source_read(source, buffer, PIECE)) > 0)
		sink_write(digest, buffer, length);
	sink_end(digest);
	source_close(source);
	values[0] = CStringGetTextDatum(digest_sha256(digest));
	values[1] = Int64GetDatum((int64) digest_bytes(digest));
	PG_RETURN_DATUM(row_of(fcinfo, values, nulls));
}

/*
 * get_some(storage text, key text, bytes int) returns int: reads the beginning,
 * and writes another object while it has the first one open.
 */
Datum
get_some(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_WRITE);
	char *key = TEXT_ARG(1);
	Source *source = storage_reader(storage, key);
	int wanted = PG_GETARG_INT32(2);
	int got = 0;
	char buffer[1000];
	size_t length;

	while (got < wanted &&
		   (length = source_read(source, buffer, sizeof(buffer))) > 0)
		got += (int) length;
	storage_put_text(storage, psprintf("%s.copy", key), "text/plain", NULL,
					 "text");
	source_close(source);
	PG_RETURN_INT32(got);
}

/*
 * object_state(storage text, key text, OUT bytes bigint, OUT etag text,
 *		OUT mark text, OUT modified timestamptz)
 */
Datum
object_state(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(TEXT_ARG(0), STORAGE_READ);
	StoredObject object;
	Datum values[4] = {0};
	bool nulls[4] = {true, true, true, true};

	if (storage_stat(storage, TEXT_ARG(1), &object))
	{
		values[0] = Int64GetDatum(object.bytes);
		values[3] = TimestampTzGetDatum(object.modified);
		nulls[0] = nulls[3] = false;
		nulls[1] = object.etag == NULL;
		if (!nulls[1])
			values[1] = CStringGetTextDatum(object.etag);
		nulls[2] = object.mark == NULL;
		if (!nulls[2])
			values[2] = CStringGetTextDatum(object.mark);
	}
	PG_RETURN_DATUM(row_of(fcinfo, values, nulls));
}

/*
 * delete_object(storage text, key text) returns void
 */
Datum
delete_object(PG_FUNCTION_ARGS)
{
	storage_delete(storage_open(TEXT_ARG(0), STORAGE_WRITE), TEXT_ARG(1));
	PG_RETURN_VOID();
}

/*
 * remove_unfinished(storage text, key text) returns void
 */
Datum
remove_unfinished(PG_FUNCTION_ARGS)
{
	storage_remove_unfinished(storage_open(TEXT_ARG(0), STORAGE_WRITE),
							  TEXT_ARG(1));
	PG_RETURN_VOID();
}

/*
 * A list from an array of names and values in turns.
 */
static List *
pairs_of(ArrayType *array)
{
	Datum *elements;
	int count;
	List *pairs = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &count);
	for (int i = 0; i + 1 < count; i += 2)
		pairs =
			lappend(pairs, named_value(TextDatumGetCString(elements[i]),
									   TextDatumGetCString(elements[i + 1])));
	return pairs;
}

/*
 * signed_authorization(key text[], stamp text, method text, path text,
 *		query text[], headers text[], payload_hash text) returns text
 *
 * key: id, secret, region, service
 */
Datum
signed_authorization(PG_FUNCTION_ARGS)
{
	SigningKey key = {0};
	SignedRequest request = {0};
	Datum *parts;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false,
					  TYPALIGN_INT, &parts, NULL, &count);
	if (count != 4)
		elog(ERROR, "a key has four parts");
	key.access_key_id = TextDatumGetCString(parts[0]);
	key.secret_access_key = TextDatumGetCString(parts[1]);
	key.region = TextDatumGetCString(parts[2]);
	key.service = TextDatumGetCString(parts[3]);
	request.method = TEXT_ARG(2);
	request.path = TEXT_ARG(3);
	request.query = pairs_of(PG_GETARG_ARRAYTYPE_P(4));
	request.headers = pairs_of(PG_GETARG_ARRAYTYPE_P(5));
	request.payload_hash = TEXT_ARG(6);
	PG_RETURN_TEXT_P(
		cstring_to_text(authorization_header(&key, TEXT_ARG(1), &request)));
}
