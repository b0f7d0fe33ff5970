/*-------------------------------------------------------------------------
 *
 * pgmaint_test_storage.c
 *	  SQL functions that do what storage.h and compress.h offer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "storage/storage.h"
#include "stream/compress.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(storage_put);
PG_FUNCTION_INFO_V1(storage_put_and_wait);
PG_FUNCTION_INFO_V1(storage_put_gated);
PG_FUNCTION_INFO_V1(storage_fill);
PG_FUNCTION_INFO_V1(storage_get);
PG_FUNCTION_INFO_V1(storage_head);
PG_FUNCTION_INFO_V1(storage_drop);
PG_FUNCTION_INFO_V1(storage_clean);
PG_FUNCTION_INFO_V1(compressions);
PG_FUNCTION_INFO_V1(compression_for);
PG_FUNCTION_INFO_V1(compress_bytes);
PG_FUNCTION_INFO_V1(decompress_bytes);
PG_FUNCTION_INFO_V1(compress_and_forget);
PG_FUNCTION_INFO_V1(decompress_and_forget);
PG_FUNCTION_INFO_V1(resident_memory);

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL
								: text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static bytea *
bytes_of(const StringInfoData *bytes)
{
	bytea *result = palloc(VARHDRSZ + bytes->len);

	SET_VARSIZE(result, VARHDRSZ + bytes->len);
	memcpy(VARDATA(result), bytes->data, bytes->len);
	return result;
}

/*
 * Pieces of many lengths, the same ones for the same seed.
 */
static size_t
next_piece(uint32 *seed, size_t left)
{
	static const size_t limits[] = {1, 7, 100, 5000, 70000, 300000};
	size_t piece;

	*seed = *seed * 1103515245 + 12345;
	piece = limits[(*seed >> 16) % lengthof(limits)];
	*seed = *seed * 1103515245 + 12345;
	piece = 1 + (*seed >> 8) % piece;
	return Min(left, piece);
}

static void
write_pieces(Sink *sink, const bytea *bytes, uint32 seed)
{
	const char *data = VARDATA_ANY(bytes);
	size_t left = VARSIZE_ANY_EXHDR(bytes);

	while (left > 0)
	{
		size_t piece = next_piece(&seed, left);

		sink_write(sink, data, piece);
		data += piece;
		left -= piece;
	}
}

static void
abort_and_rethrow(Sink *sink)
{
	sink_abort(sink);
	PG_RE_THROW();
}

/*
 * storage_put(storage text, key text, mark text, bytes bytea) returns void
 */
Datum
storage_put(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);
	Sink *sink = storage_writer(storage, text_argument(fcinfo, 1),
								"text/plain", text_argument(fcinfo, 2));

	PG_TRY();
	{
		sink_begin(sink);
		write_pieces(sink, PG_GETARG_BYTEA_PP(3), 1);
	}
	PG_CATCH();
	{
		abort_and_rethrow(sink);
	}
	PG_END_TRY();
	sink_end(sink);
	sink_free(sink);
	PG_RETURN_VOID();
}

/*
 * storage_put_and_wait(storage text, key text, mark text, bytes bytea)
 * returns void: never, unless it is told to stop waiting in the middle
 */
Datum
storage_put_and_wait(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);
	Sink *sink = storage_writer(storage, text_argument(fcinfo, 1),
								"text/plain", text_argument(fcinfo, 2));

	PG_TRY();
	{
		sink_begin(sink);
		write_pieces(sink, PG_GETARG_BYTEA_PP(3), 1);
		ereport(LOG, (errmsg("waiting in the middle of an object")));
		for (;;)
		{
			CHECK_FOR_INTERRUPTS();
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
		}
	}
	PG_CATCH();
	{
		abort_and_rethrow(sink);
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}

/*
 * storage_put_gated(storage text, key text, mark text, gate bigint) returns
 * void: in the middle it waits for the advisory lock
 */
Datum
storage_put_gated(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);
	Sink *sink = storage_writer(storage, text_argument(fcinfo, 1),
								"text/plain", text_argument(fcinfo, 2));

	PG_TRY();
	{
		sink_begin(sink);
		sink_write(sink, "half", 4);
		(void) DirectFunctionCall1(pg_advisory_xact_lock_int8,
								   PG_GETARG_DATUM(3));
		sink_write(sink, "half", 4);
	}
	PG_CATCH();
	{
		abort_and_rethrow(sink);
	}
	PG_END_TRY();
	sink_end(sink);
	sink_free(sink);
	PG_RETURN_VOID();
}

/*
 * storage_fill(storage text, key text, megabytes int, OUT writing float8, OUT
 * ending float8): how many milliseconds each took
 */
Datum
storage_fill(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);
	Sink *sink =
		storage_writer(storage, text_argument(fcinfo, 1), "text/plain", NULL);
	char *megabyte = palloc(1024 * 1024);
	TupleDesc descriptor;
	Datum values[2];
	bool nulls[2] = {false};
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz middle;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(megabyte, 'x', 1024 * 1024);
	PG_TRY();
	{
		sink_begin(sink);
		for (int i = 0; i < PG_GETARG_INT32(2); i++)
			for (int j = 0; j < 16; j++)
				sink_write(sink, megabyte + j * 65536, 65536);
	}
	PG_CATCH();
	{
		abort_and_rethrow(sink);
	}
	PG_END_TRY();
	middle = GetCurrentTimestamp();
	sink_end(sink);
	values[0] = Float8GetDatum((double) (middle - start) / 1000);
	values[1] =
		Float8GetDatum((double) (GetCurrentTimestamp() - middle) / 1000);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

static void
read_pieces(Source *source, StringInfo bytes, uint32 seed)
{
	char *buffer = palloc(300000);
	size_t length;

	while ((length = source_read(source, buffer, next_piece(&seed, 300000))) >
		   0)
		appendBinaryStringInfo(bytes, buffer, (int) length);
}

/*
 * Read a chain to its end, and close it.
 */
static bytea *
read_all(Source *source, uint32 seed)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	PG_TRY();
	{
		read_pieces(source, &bytes, seed);
	}
	PG_FINALLY();
	{
		source_close(source);
	}
	PG_END_TRY();
	source_free(source);
	return bytes_of(&bytes);
}

/*
 * storage_get(storage text, key text) returns bytea
 */
Datum
storage_get(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_READ);

	PG_RETURN_BYTEA_P(
		read_all(storage_reader(storage, text_argument(fcinfo, 1)), 1));
}

/*
 * storage_head(storage text, key text) returns text
 */
Datum
storage_head(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_READ);
	StoredObject object;

	if (!storage_stat(storage, text_argument(fcinfo, 1), &object))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf("%s %lld %s", object.key, (long long) object.bytes,
				 object.mark == NULL ? "unmarked" : object.mark)));
}

/*
 * storage_drop(storage text, key text) returns void
 */
Datum
storage_drop(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);

	storage_delete(storage, text_argument(fcinfo, 1));
	PG_RETURN_VOID();
}

/*
 * storage_clean(storage text, key text) returns void
 */
Datum
storage_clean(PG_FUNCTION_ARGS)
{
	Storage *storage = storage_open(text_argument(fcinfo, 0), STORAGE_WRITE);

	storage_remove_unfinished(storage, text_argument(fcinfo, 1));
	PG_RETURN_VOID();
}

/* a sink and a source that are bytes in memory */
typedef struct MemorySink
{
	Sink sink;
	StringInfoData bytes;
	int64 fail_at; /* negative if never */
} MemorySink;

typedef struct MemorySource
{
	Source source;
	const char *data;
	size_t left;
	uint32 seed;
} MemorySource;

static void
memory_write(Sink *sink, const char *data, size_t length)
{
	MemorySink *memory = (MemorySink *) sink;

	appendBinaryStringInfo(&memory->bytes, data, (int) length);
	if (memory->fail_at >= 0 && memory->bytes.len > memory->fail_at)
		ereport(ERROR, (errcode(ERRCODE_DISK_FULL), errmsg("no room")));
}

static const SinkOps memory_sink_ops = {.write = memory_write};

static MemorySink *
memory_sink(void)
{
	MemorySink *memory =
		(MemorySink *) sink_create(&memory_sink_ops, sizeof(MemorySink), NULL);

	initStringInfo(&memory->bytes);
	memory->fail_at = -1;
	return memory;
}

static size_t
memory_read(Source *source, char *buffer, size_t size)
{
	MemorySource *memory = (MemorySource *) source;
	size_t length;

	if (memory->left == 0)
		return 0;
	length = next_piece(&memory->seed, Min(size, memory->left));
	memcpy(buffer, memory->data, length);
	memory->data += length;
	memory->left -= length;
	return length;
}

static const SourceOps memory_source_ops = {.read = memory_read};

static Source *
memory_source(const bytea *bytes, uint32 seed)
{
	MemorySource *memory = (MemorySource *) source_create(
		&memory_source_ops, sizeof(MemorySource), NULL);

	memory->data = VARDATA_ANY(bytes);
	memory->left = VARSIZE_ANY_EXHDR(bytes);
	memory->seed = seed;
	return &memory->source;
}

static const CompressionMethod *
method_argument(FunctionCallInfo fcinfo, int number)
{
	char *name = text_argument(fcinfo, number);
	const CompressionMethod *method = find_compression(name);

	if (method == NULL)
		elog(ERROR, "there is no compression method \"%s\"", name);
	return method;
}

/*
 * compressions() returns text
 */
Datum
compressions(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(compression_names()));
}

/*
 * compression_for(key text) returns text
 */
Datum
compression_for(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(
		cstring_to_text(compression_of_key(text_argument(fcinfo, 0))->name));
}

static Datum
run_compression(const CompressionMethod *method, int level, const bytea *bytes,
				uint32 seed, int64 fail_at, bool forget)
{
	MemorySink *memory = memory_sink();
	Sink *sink = compressor_create(method, level, &memory->sink);

	memory->fail_at = fail_at;
	PG_TRY();
	{
		sink_begin(sink);
		write_pieces(sink, bytes, seed);
	}
	PG_CATCH();
	{
		if (forget)
			PG_RE_THROW();
		abort_and_rethrow(sink);
	}
	PG_END_TRY();
	if (forget)
		ereport(ERROR, (errmsg("forgotten")));
	sink_end(sink);
	return PointerGetDatum(bytes_of(&memory->bytes));
}

/*
 * compress_bytes(method text, level int, bytes bytea, seed int, fail_at
 * bigint) returns bytea; the method's default where there is no level
 */
Datum
compress_bytes(PG_FUNCTION_ARGS)
{
	const CompressionMethod *method = method_argument(fcinfo, 0);

	return run_compression(
		method, PG_ARGISNULL(1) ? method->default_level : PG_GETARG_INT32(1),
		PG_GETARG_BYTEA_PP(2), PG_GETARG_INT32(3),
		PG_ARGISNULL(4) ? -1 : PG_GETARG_INT64(4), false);
}

/*
 * compress_and_forget(method text, bytes bytea): fails, and leaves the chain
 * as it is
 */
Datum
compress_and_forget(PG_FUNCTION_ARGS)
{
	const CompressionMethod *method = method_argument(fcinfo, 0);

	return run_compression(method, method->default_level,
						   PG_GETARG_BYTEA_PP(1), 1, -1, true);
}

/*
 * decompress_bytes(method text, bytes bytea, seed int) returns bytea
 */
Datum
decompress_bytes(PG_FUNCTION_ARGS)
{
	Source *source = decompressor_create(
		method_argument(fcinfo, 0),
		memory_source(PG_GETARG_BYTEA_PP(1), PG_GETARG_INT32(2)));

	PG_RETURN_BYTEA_P(read_all(source, PG_GETARG_INT32(2)));
}

/*
 * decompress_and_forget(method text, bytes bytea): fails in the middle, and
 * leaves the chain as it is
 */
Datum
decompress_and_forget(PG_FUNCTION_ARGS)
{
	Source *source = decompressor_create(
		method_argument(fcinfo, 0), memory_source(PG_GETARG_BYTEA_PP(1), 1));
	char byte;

	(void) source_read(source, &byte, 1);
	ereport(ERROR, (errmsg("forgotten")));
}

/*
 * resident_memory() returns bigint, in bytes
 */
Datum
resident_memory(PG_FUNCTION_ARGS)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long long pages = 0;

	if (file == NULL || fscanf(file, "%*d %lld", &pages) != 1)
		elog(ERROR, "could not read /proc/self/statm");
	(void) fclose(file);
	PG_RETURN_INT64(pages * getpagesize());
}
