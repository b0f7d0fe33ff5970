/*-------------------------------------------------------------------------
 *
 * dump.c
 *	  Making a backup: pg_dump, or pg_dumpall, into an object.
 *
 * The output of the program is compressed and uploaded as it arrives, without
 * a file in between.  The object is completed only after the program has
 * succeeded and, for a database, the dump has been parsed to its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "backup/contents.h"
#include "backup/dump.h"
#include "backup/manifest.h"
#include "backup/rewrites.h"
#include "objects/keys.h"
#include "storage/storage.h"
#include "stream/compress.h"
#include "stream/digest.h"
#include "stream/dumpfilter.h"

#define DUMP_BUFFER_SIZE ((size_t) 262144)

/* bytes of the dump between two reports of progress */
#define PROGRESS_BYTES INT64CONST(16777216)

/* the chain of sinks for the bytes of a dump */
typedef struct DumpStream
{
	Sink *first;
	Sink *object; /* counts and hashes what is stored */
	DumpFile *dump;
	Sink *filter; /* that leaves secrets out, or NULL */
	HTAB *files;  /* of tables, before pg_dump; NULL once they were compared */
	int64 bytes;
} DumpStream;

/* their definitions may contain passwords in plain text */
static const char *const secret_kinds[] = {"USER MAPPING", "SUBSCRIPTION",
										   NULL};

static bool
is_database(const DumpJob *job)
{
	return strcmp(job->record->kind, "database") == 0;
}

static void
open_stream(const DumpJob *job, Storage *storage, DumpStream *stream)
{
	const CompressionMethod *method =
		find_compression(job->record->compression);
	const char *type = strcmp(method->name, "gzip") == 0 ? "application/gzip"
					   : strcmp(method->name, "zstd") == 0
						   ? "application/zstd"
						   : "application/octet-stream";

	memset(stream, 0, sizeof(*stream));
	stream->object = digest_create(
		storage_writer(storage, job->upload.key, type, job->upload.mark));
	stream->first =
		compressor_create(method, job->compression_level, stream->object);
	if (is_database(job))
	{
		stream->dump = dump_file_create();
		stream->first = dump_watch_create(stream->dump, stream->first);
		if (job->exclude_secrets)
			stream->first = stream->filter =
				dump_filter_create(secret_kinds, stream->first);
	}
}

static Child *
start_program(const DumpJob *job, const Login *login)
{
	List *arguments = NIL;

	arguments = lappend(arguments, psprintf("--dbname=%s", login->conninfo));
	arguments = lappend(arguments, pstrdup("--no-password"));
	arguments =
		lappend(arguments, psprintf("--lock-wait-timeout=%d", job->lock_wait));
	if (login->role != NULL)
		arguments = lappend(arguments, psprintf("--role=%s", login->role));
	if (is_database(job))
	{
		arguments = lappend(arguments, pstrdup("--format=custom"));
		arguments = lappend(arguments, pstrdup("--compress=0"));
	}
	else
		arguments = lappend(arguments, pstrdup("--globals-only"));
	arguments = list_concat(arguments, job->arguments);
	return child_start(
		find_program(is_database(job) ? "pg_dump" : "pg_dumpall"), arguments,
		login_environment(login, NULL));
}

static void
report_progress(const DumpJob *job, const DumpStream *stream)
{
	char *activity;

	activity =
		job->expected_bytes > 0
			? psprintf("backup: %lld of about %lld bytes of %s",
					   (long long) stream->bytes,
					   (long long) Max(job->expected_bytes, stream->bytes),
					   job->record->key)
			: psprintf("backup: %lld bytes of %s", (long long) stream->bytes,
					   job->record->key);
	pgstat_report_activity(STATE_RUNNING, activity);
	pfree(activity);
}

/*
 * Copy the output of the program into the chain.  When the table of contents
 * of the dump arrives, pg_dump holds its locks, and waits while the table of
 * contents is checked.
 */
static void
copy_output(const DumpJob *job, const Login *login, const char *settings,
			Child *child, DumpStream *stream)
{
	char *buffer = palloc(DUMP_BUFFER_SIZE);
	int64 told = 0;
	ChildEnd end;
	size_t length;

	while ((length = child_read(child, buffer, DUMP_BUFFER_SIZE)) > 0)
	{
		sink_write(stream->first, buffer, length);
		stream->bytes += (int64) length;
		if (stream->files != NULL && dump_file_listed(stream->dump))
		{
			check_rewrites(login, settings, stream->dump, stream->files);
			hash_destroy(stream->files);
			stream->files = NULL;
		}
		if (stream->bytes - told < PROGRESS_BYTES)
			continue;
		told = stream->bytes;
		report_progress(job, stream);
	}
	pfree(buffer);
	child_wait(child, &end);
	check_end(is_database(job) ? "pg_dump" : "pg_dumpall", &end);
}

static void
write_object(const DumpJob *job, const Login *login, const char *settings,
			 Storage *storage, DumpStream *stream)
{
	Child *volatile child = NULL;

	open_stream(job, storage, stream);
	report_progress(job, stream);
	PG_TRY();
	{
		sink_begin(stream->first);
		if (is_database(job))
			stream->files = read_table_files(login, settings);
		child = start_program(job, login);
		copy_output(job, login, settings, child, stream);
	}
	PG_CATCH();
	{
		sink_abort(stream->first);
		PG_RE_THROW();
	}
	PG_END_TRY();
	sink_end(stream->first);
}

/*
 * The WAL position after the dump, for people who compare the backup with the
 * database.
 */
static char *
current_lsn(const Login *login)
{
	char *lsn = run_psql(
		login, NULL,
		"SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_lsn() END;\n");

	lsn[strcspn(lsn, "\n")] = '\0';
	return lsn[0] == '\0' ? NULL : lsn;
}

static int64
database_bytes(const char *facts)
{
	LedgerQuery query = {0};

	bind_text(&query, facts);
	(void) ledger_query(
		&query,
		"SELECT ($1::pg_catalog.jsonb ->> 'database_bytes')::pg_catalog.int8");
	return ledger_bigint(0, 1);
}

void
back_up(DumpJob *job)
{
	BackupRecord *record = job->record;
	Storage *storage = storage_open(job->upload.storage, STORAGE_WRITE);
	char *database =
		is_database(job) ? record->database : get_database_name(MyDatabaseId);
	Login *login = role_login(database, GetUserId(), false);
	char *settings = psprintf("-c lock_timeout=%d", job->lock_wait);
	DumpStream stream;
	Finished finished = {0};
	LedgerScope scope;
	char *manifest;

	finished.started_at = GetCurrentTimestamp();
	finished.mark = job->upload.mark;
	if (is_database(job))
		finished.facts = read_facts(login, settings);
	write_object(job, login, settings, storage, &stream);
	if (is_database(job))
	{
		finished.contents = describe_contents(
			stream.dump,
			stream.filter == NULL ? NIL : dump_filter_left_out(stream.filter));
		if (stream.filter != NULL)
			stream.bytes -= dump_filter_left_out_bytes(stream.filter);
		finished.program_version = dump_file_program_version(stream.dump);
		finished.end_lsn = current_lsn(login);
	}
	finished.finished_at = GetCurrentTimestamp();
	finished.bytes = (int64) digest_bytes(stream.object);
	finished.sha256 = digest_sha256(stream.object);
	finished.dump_bytes = stream.bytes;
	record->bytes = finished.bytes;
	record->sha256 = unconstify(char *, finished.sha256);
	record->dump_bytes = stream.bytes;

	ledger_enter(&scope);
	if (finished.facts != NULL)
		record->database_bytes = database_bytes(finished.facts);
	manifest = make_manifest(record, &finished);
	ledger_leave(&scope);
	storage_put_text(storage, manifest_key(record->key), "application/json",
					 job->upload.mark, manifest);

	ledger_enter(&scope);
	finish_backup_record(record, stream.dump == NULL
									 ? NULL
									 : dump_file_server_version(stream.dump));
	forget_upload(job->upload.upload_id);
	ledger_leave(&scope);
}
