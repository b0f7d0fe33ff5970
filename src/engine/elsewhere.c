/*-------------------------------------------------------------------------
 *
 * elsewhere.c
 *	  Queries pg_cron, in any database of the cluster.
 *
 * In another database, a background worker connects as the calling role, and has
 * no more rights than that role has there.  It returns its answer, or its error,
 * through a queue in shared memory.  Its work is committed when it answers,
 * independent of the caller's transaction.
 *
 * The caller waits inside a function, and holds a snapshot and maybe locks.  The
 * worker is in another database and needs none of them, and it stops waiting for
 * a lock after a few seconds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/settings.h"
#include "engine/elsewhere.h"
#include "engine/launch.h"

PGDLLEXPORT void pgmaint_cron_worker_main(Datum main_arg);

#define QUEUE_BYTES 65536

/* message type of the answer; errors have the type of the protocol */
#define ANSWER_MESSAGE 'D'
#define ERROR_MESSAGE 'E'
#define NOTICE_MESSAGE 'N'

/* the beginning of the shared memory; the queue follows */
typedef struct SharedQuestion
{
	Oid database;
	Oid role;
	int encoding; /* of the arguments, and of the answer */
	CronQuestionKind kind;
	int count;
	Size queue; /* where it begins */
	char arguments[FLEXIBLE_ARRAY_MEMBER];
} SharedQuestion;

static dsm_segment *
share_question(Oid database, const CronQuestion *question)
{
	Size size = offsetof(SharedQuestion, arguments);
	dsm_segment *segment;
	SharedQuestion *shared;
	char *at;

	for (int i = 0; i < question->count; i++)
		size += strlen(question->arguments[i]) + 1;
	size = MAXALIGN(size);
	segment = dsm_create(size + QUEUE_BYTES, 0);
	shared = dsm_segment_address(segment);
	shared->database = database;
	shared->role = GetUserId();
	shared->encoding = GetDatabaseEncoding();
	shared->kind = question->kind;
	shared->count = question->count;
	shared->queue = size;
	at = shared->arguments;
	for (int i = 0; i < question->count; i++)
	{
		Size length = strlen(question->arguments[i]) + 1;

		memcpy(at, question->arguments[i], length);
		at += length;
	}
	return segment;
}

static BackgroundWorkerHandle *
start_worker(dsm_segment *segment)
{
	dsm_handle shared = dsm_segment_handle(segment);
	BackgroundWorkerHandle *handle;

	/* the worker would begin after a promotion, and the session wait until then */
	if (RecoveryInProgress())
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "pg_cron in another database cannot be queried during recovery"),
			 errhint("Query its jobs on the primary.")));
	if (!launch_worker("pgmaint cron worker", "pgmaint cron worker",
					   "pgmaint_cron_worker_main", &shared, sizeof(shared),
					   true, &handle))
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker slot is free to query pg_cron"),
				 errhint("Try again later, or raise max_worker_processes.")));
	return handle;
}

/*
 * Read messages up to the answer.  An error, which ends the worker, is raised
 * as an error of this session.
 */
static char *
receive_answer(shm_mq_handle *queue, volatile bool *ended)
{
	for (;;)
	{
		StringInfoData message;
		ErrorData error;
		Size size;
		void *data;
		char type;

		if (shm_mq_receive(queue, &size, &data, false) != SHM_MQ_SUCCESS)
			ereport(
				ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg(
					 "the background worker that queried pg_cron ended without a result"),
				 errhint("Look for the cause in the server log.")));
		initStringInfo(&message);
		appendBinaryStringInfo(&message, data, (int) size);
		type = (char) pq_getmsgbyte(&message);
		if (type == ANSWER_MESSAGE)
			return pnstrdup(message.data + message.cursor,
							message.len - message.cursor);
		if (type != ERROR_MESSAGE && type != NOTICE_MESSAGE)
			continue;
		pq_parse_errornotice(&message, &error);
		/* FATAL is the end of the worker, not of this session */
		*ended = error.elevel >= ERROR;
		error.elevel = Min(error.elevel, ERROR);
		error.context = NULL;
		ThrowErrorData(&error);
	}
}

/*
 * Start a worker that queries pg_cron in another database, and wait for its
 * answer.
 */
static char *
ask_elsewhere(Oid database, const CronQuestion *question)
{
	dsm_segment *segment = share_question(database, question);
	SharedQuestion *shared = dsm_segment_address(segment);
	shm_mq *queue =
		shm_mq_create((char *) shared + shared->queue, QUEUE_BYTES);
	BackgroundWorkerHandle *handle;
	shm_mq_handle *queue_handle;
	volatile bool ended = false;
	char *answer;

	shm_mq_set_receiver(queue, MyProc);
	handle = start_worker(segment);
	queue_handle = shm_mq_attach(queue, segment, handle);
	/* a cancel here ends the worker, too */
	PG_TRY();
	{
		answer = receive_answer(queue_handle, &ended);
	}
	PG_CATCH();
	{
		if (!ended)
			TerminateBackgroundWorker(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	dsm_detach(segment);
	return answer;
}

/*
 * Query pg_cron in its database.
 */
char *
ask_cron(const CronServer *server, const CronQuestion *question)
{
	if (server->database == MyDatabaseId)
		return answer_cron_question(question);
	return ask_elsewhere(server->database, question);
}

int64
ask_cron_for_number(const CronServer *server, const CronQuestion *question)
{
	return DatumGetInt64(DirectFunctionCall1(
		int8in, CStringGetDatum(ask_cron(server, question))));
}

/*
 * The question from shared memory, in the encoding of this database.
 */
static void
read_question(const SharedQuestion *shared, CronQuestion *question)
{
	const char *at = shared->arguments;

	question->kind = shared->kind;
	question->count = shared->count;
	for (int i = 0; i < question->count; i++)
	{
		question->arguments[i] =
			pg_any_to_server(at, (int) strlen(at), shared->encoding);
		at += strlen(at) + 1;
	}
}

static void
send_answer(const char *answer)
{
	StringInfoData message;

	pq_beginmessage(&message, ANSWER_MESSAGE);
	pq_sendbytes(&message, answer, (int) strlen(answer));
	pq_endmessage(&message);
}

/*
 * Entry point of the background worker.
 */
void
pgmaint_cron_worker_main(Datum main_arg)
{
	dsm_handle handle;
	dsm_segment *segment;
	SharedQuestion *shared;
	shm_mq *queue;
	CronQuestion question;
	char *answer;

	BackgroundWorkerUnblockSignals();
	memcpy(&handle, MyBgworkerEntry->bgw_extra, sizeof(handle));
	segment = dsm_attach(handle);
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session that started this worker has ended")));
	shared = dsm_segment_address(segment);
	queue = (shm_mq *) ((char *) shared + shared->queue);
	shm_mq_set_sender(queue, MyProc);
	/* from here on errors go to the calling session */
	pq_redirect_to_shm_mq(segment, shm_mq_attach(queue, segment, NULL));
	BackgroundWorkerInitializeConnectionByOid(shared->database, shared->role,
											  WORKER_BYPASS_LOGIN);
	pin_session_settings();

	StartTransactionCommand();
	SetConfigOption("client_encoding", pg_encoding_to_char(shared->encoding),
					PGC_USERSET, PGC_S_SESSION);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(TopMemoryContext);
	read_question(shared, &question);
	answer = answer_cron_question(&question);
	answer = pg_server_to_any(answer, (int) strlen(answer), shared->encoding);
	PopActiveSnapshot();
	CommitTransactionCommand();
	send_answer(answer);
	proc_exit(0);
}
