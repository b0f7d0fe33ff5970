/*-------------------------------------------------------------------------
 *
 * pgmaint_test_stream.c
 *	  SQL functions that run COPY into chains of sinks.
 *
 * The code under test is part of this file, so that it can be compiled in
 * more than one way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/giveway.c"
#include "stream/copy_out.c"
#include "stream/digest.c"
#include "stream/sink.c"

#include "access/htup_details.h"
#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(copy_to_digest);
PG_FUNCTION_INFO_V1(copy_to_bytea);
PG_FUNCTION_INFO_V1(copy_in_worker);
PG_FUNCTION_INFO_V1(sink_calls);
PG_FUNCTION_INFO_V1(way_of_copy);

PGDLLEXPORT void test_stream_worker_main(Datum arg);

/* the end of a chain: it notes what it is told, and may have had enough */
typedef struct TestEnd
{
	Sink sink;
	StringInfo bytes; /* the bytes received, where they are to be kept */
	uint64 received;
	int64 fail_at; /* negative if never */
	bool fail_to_begin;
	bool fail_to_end;
	Size peak; /* the most memory of the process at a write */
} TestEnd;

static int64 begun = 0;
static int64 ended = 0;
static int64 aborted = 0;

static void
test_end_begin(Sink *sink)
{
	begun++;
	if (((TestEnd *) sink)->fail_to_begin)
		ereport(ERROR, (errmsg("the sink does not begin")));
}

static void
test_end_write(Sink *sink, const char *data, size_t length)
{
	TestEnd *end = (TestEnd *) sink;

	end->received += length;
	if (end->fail_at >= 0 && end->received > end->fail_at)
		ereport(ERROR, (errcode(ERRCODE_DISK_FULL),
						errmsg("the sink is full at byte %lld",
							   (long long) end->fail_at)));
	if (end->bytes != NULL)
		appendBinaryStringInfo(end->bytes, data, length);
	end->peak =
		Max(end->peak, MemoryContextMemAllocated(TopMemoryContext, true));
}

static void
test_end_end(Sink *sink)
{
	if (((TestEnd *) sink)->fail_to_end)
		ereport(ERROR, (errmsg("the sink does not end")));
	ended++;
}

static void
test_end_abort(Sink *sink)
{
	aborted++;
}

static const SinkOps test_end_ops = {
	.begin = test_end_begin,
	.write = test_end_write,
	.end = test_end_end,
	.abort = test_end_abort,
};

/* a sink that does nothing, for what happens by itself */
static const SinkOps nothing_ops = {.begin = NULL};

static TestEnd *
test_end_create(void)
{
	TestEnd *end =
		(TestEnd *) sink_create(&test_end_ops, sizeof(TestEnd), NULL);

	end->fail_at = -1;
	return end;
}

/*
 * copy_to_digest(query text, options text, fail_at bigint, fail_in text,
 *		OUT rows bigint, OUT bytes bigint, OUT sha256 text, OUT peak bigint)
 */
Datum
copy_to_digest(PG_FUNCTION_ARGS)
{
	TestEnd *end = test_end_create();
	Sink *digest = digest_create(&end->sink);
	Sink *first = sink_create(&nothing_ops, sizeof(Sink), digest);
	char *options =
		PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	TupleDesc descriptor;
	Datum values[4];
	bool nulls[4] = {false};
	uint64 rows;

	if (!PG_ARGISNULL(2))
		end->fail_at = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
	{
		char *where = text_to_cstring(PG_GETARG_TEXT_PP(3));

		end->fail_to_begin = strcmp(where, "begin") == 0;
		end->fail_to_end = strcmp(where, "end") == 0;
	}
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	rows = copy_out(text_to_cstring(PG_GETARG_TEXT_PP(0)), options, first);
	sink_end(first);
	Assert(end->received == digest_bytes(digest));
	values[0] = Int64GetDatum(rows);
	values[1] = Int64GetDatum(end->received);
	values[2] = CStringGetTextDatum(digest_sha256(digest));
	values[3] = Int64GetDatum(end->peak);
	/* an ended chain: this must do nothing */
	sink_abort(first);
	sink_free(first);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * copy_to_bytea(query text, options text) returns bytea, or null when there
 * were no rows, and the chain was aborted for that.
 */
Datum
copy_to_bytea(PG_FUNCTION_ARGS)
{
	TestEnd *end = test_end_create();
	char *options =
		PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	bytea *result;

	end->bytes = makeStringInfo();
	if (copy_out(text_to_cstring(PG_GETARG_TEXT_PP(0)), options, &end->sink) ==
		0)
	{
		sink_abort(&end->sink);
		PG_RETURN_NULL();
	}
	sink_end(&end->sink);
	result = palloc(VARHDRSZ + end->bytes->len);
	SET_VARSIZE(result, VARHDRSZ + end->bytes->len);
	memcpy(VARDATA(result), end->bytes->data, end->bytes->len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * sink_calls(OUT begun bigint, OUT ended bigint, OUT aborted bigint): of ends
 * of chains, since the last call.
 */
Datum
sink_calls(PG_FUNCTION_ARGS)
{
	TupleDesc descriptor;
	Datum values[3] = {Int64GetDatum(begun), Int64GetDatum(ended),
					   Int64GetDatum(aborted)};
	bool nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	begun = ended = aborted = 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * way_of_copy() returns text
 */
Datum
way_of_copy(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(
		cstring_to_text(SERVER_HAS_COPY_CALLBACK ? "callback" : "messages"));
}

/*
 * A background worker, which has no client, copies the output of one query
 * and logs what came.
 */
void
test_stream_worker_main(Datum arg)
{
	Sink *digest;
	uint64 rows;

	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, MyBgworkerEntry->bgw_extra);
	digest = digest_create(NULL);
	rows = copy_out(MyBgworkerEntry->bgw_extra, "FORMAT csv, HEADER", digest);
	sink_end(digest);
	ereport(LOG, (errmsg("copied in a worker: %llu rows, %llu bytes, %s",
						 (unsigned long long) rows,
						 (unsigned long long) digest_bytes(digest),
						 digest_sha256(digest))));
	CommitTransactionCommand();
}

/*
 * copy_in_worker(query text, library text) returns void, when it is over
 */
Datum
copy_in_worker(PG_FUNCTION_ARGS)
{
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;

	worker.bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_name, "test of COPY", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "test of COPY", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "test_stream_worker_main", BGW_MAXLEN);
	if (strlcpy(worker.bgw_extra, text_to_cstring(PG_GETARG_TEXT_PP(0)),
				BGW_EXTRALEN) >= BGW_EXTRALEN)
		elog(ERROR, "the query is too long for a worker");
	strlcpy(worker.bgw_library_name, text_to_cstring(PG_GETARG_TEXT_PP(1)),
			sizeof(worker.bgw_library_name));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		elog(ERROR, "there is no slot for a worker");
	if (WaitForBackgroundWorkerShutdown(handle) != BGWH_STOPPED)
		elog(ERROR, "the worker did not end");
	PG_RETURN_VOID();
}
