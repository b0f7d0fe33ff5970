/*-------------------------------------------------------------------------
 *
 * restore.c
 *	  Restoring an object of a storage into a database.
 *
 * The object is hashed, decompressed, and fed to pg_restore while it is
 * downloaded. pg_restore starts when the table of contents is complete and the
 * entries to restore are chosen; it gets them as a list in a temporary file of
 * the server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "backup/restore.h"
#include "backup/restore_error.h"
#include "base/subtransaction.h"
#include "base/wording.h"
#include "exec/child.h"
#include "stream/compress.h"
#include "stream/hashing.h"

#define PIECE ((size_t) 256 * 1024)

/* one pass through the object, for try_in_subtransaction() */
typedef struct Passage
{
	RestoreJob *job;
	Storage *storage;
	const BackupDescription *description;
	DumpFile *dump; /* what was read of it */
	Child *child;
	File list; /* that pg_restore reads; while there is a child */
	ChildEnd end;
	instr_time begun;
	int64 reported; /* bytes of the object, when it was last said how many */
	uint64 bytes;
	char *sha256; /* of the whole object; NULL: it did not come to its end */
} Passage;

/*
 * Progress is reported in pg_stat_activity.
 */
static void
report_progress(Passage *passage, const Source *object)
{
	int64 total = Max(passage->description->bytes, 1);
	int64 done = (int64) hashed_bytes(object);

	/* at each thousandth, but not for each piece of a small object */
	if (done - passage->reported < Max(total / 1000, (int64) PIECE))
		return;
	passage->reported = done;
	pgstat_report_activity(
		STATE_RUNNING,
		psprintf("restoring: %.1f %% of %s, %s",
				 Min(100.0 * (double) done / (double) total, 100.0),
				 size_text(total), passage->description->key));
}

/*
 * The path is relative to the data directory, which is also the working
 * directory of child processes.
 */
static File
write_list(const EntryChoice *choice)
{
	File file = OpenTemporaryFile(false);
	StringInfoData list;
	ListCell *cell;
	off_t place = 0;

	initStringInfo(&list);
	foreach (cell, choice->chosen)
		appendStringInfo(&list, "%d\n", lfirst_int(cell));
	while (place < list.len)
	{
		int written =
			FileWrite(file, list.data + place, list.len - (int) place, place,
					  WAIT_EVENT_BUFFILE_WRITE);

		if (written <= 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not write to file \"%s\": %m",
								   FilePathName(file))));
		place += written;
	}
	return file;
}

static void
start_pg_restore(Passage *passage, DumpFile *dump)
{
	RestoreJob *job = passage->job;
	List *arguments = NIL;

	choose_entries(dump, job->choice);
	arguments = list_make5(
		pstrdup("-Fc"), pstrdup("--exit-on-error"), pstrdup("--no-password"),
		pstrdup("--no-tablespaces"), pstrdup("--no-subscriptions"));
	/* without it, pg_restore does not name the entry that failed */
	arguments = lappend(arguments, pstrdup("--verbose"));
	arguments = list_concat(arguments, job->arguments);
	if (job->login->role != NULL)
		arguments =
			lappend(arguments, psprintf("--role=%s", job->login->role));
	passage->list = write_list(job->choice);
	arguments = lappend(
		arguments, psprintf("--use-list=%s", FilePathName(passage->list)));
	arguments = lappend(arguments, psprintf("-d%s", job->login->conninfo));
	passage->child = child_start(find_program("pg_restore"), arguments,
								 login_environment(job->login, job->settings));
	INSTR_TIME_SET_CURRENT(passage->begun);
}

static void
end_pg_restore(Passage *passage)
{
	instr_time end;

	if (passage->child == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the dump ends before the end of its table of contents")));
	child_wait(passage->child, &passage->end);
	passage->child = NULL;
	FileClose(passage->list);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, passage->begun);
	passage->job->milliseconds = (int64) INSTR_TIME_GET_MILLISEC(end);
}

/*
 * The whole object is read, even if pg_restore stops reading its input.
 */
static void
feed_pg_restore(Passage *passage, Source *object, Source *content)
{
	DumpFile *dump = dump_file_create();
	StringInfoData head;
	char *piece = palloc(PIECE);
	bool listens = true;
	size_t length;

	passage->dump = dump;
	initStringInfo(&head);
	while ((length = source_read(content, piece, PIECE)) > 0)
	{
		report_progress(passage, object);
		if (passage->child == NULL)
		{
			dump_file_feed(dump, piece, length);
			appendBinaryStringInfo(&head, piece, (int) length);
			if (!dump_file_listed(dump))
				continue;
			start_pg_restore(passage, dump);
			listens = child_write(passage->child, head.data, head.len);
			pfree(head.data);
		}
		else if (listens)
			listens = child_write(passage->child, piece, length);
	}
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("restoring: indexes and constraints, %s",
									passage->description->key));
	end_pg_restore(passage);
}

static void
finish_passage(Passage *passage, const Source *object)
{
	passage->bytes = hashed_bytes(object);
	passage->sha256 = pstrdup(hashed_sha256(object));
}

static void
restore_on_the_way(void *argument)
{
	Passage *passage = argument;
	const BackupDescription *description = passage->description;
	const CompressionMethod *method =
		find_compression(description->compression);
	Source *object;
	Source *content;

	if (method == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the backup is compressed with \"%s\", which this "
						"build cannot read",
						description->compression),
				 errhint("Use a build of pgmaint that supports this method. "
						 "This build supports: %s.",
						 compression_names())));
	object = hashing_source_create(
		storage_reader(passage->storage, description->key));
	content = decompressor_create(method, object);
	PG_TRY();
	{
		feed_pg_restore(passage, object, content);
		finish_passage(passage, object);
	}
	PG_FINALLY();
	{
		source_close(content);
	}
	PG_END_TRY();
}

static void
only_read(Passage *passage)
{
	Source *object = hashing_source_create(
		storage_reader(passage->storage, passage->description->key));
	char *piece = palloc(PIECE);

	passage->reported = 0;
	PG_TRY();
	{
		while (source_read(object, piece, PIECE) > 0)
			report_progress(passage, object);
		finish_passage(passage, object);
	}
	PG_FINALLY();
	{
		source_close(object);
	}
	PG_END_TRY();
}

/*
 * Why the content that was read is not the content that was written, or NULL.
 */
static char *
verify_checksum(const Passage *passage)
{
	const BackupDescription *description = passage->description;

	if (passage->bytes != (uint64) description->bytes)
		return psprintf("the object is damaged: it has %llu bytes, but %lld "
						"were written",
						(unsigned long long) passage->bytes,
						(long long) description->bytes);
	if (strcmp(passage->sha256, description->sha256) != 0)
		return psprintf("the object is damaged: its SHA-256 is %s, the "
						"manifest says %s",
						passage->sha256, description->sha256);
	return NULL;
}

char *
check_object(Storage *storage, const BackupDescription *description)
{
	Passage passage = {.storage = storage, .description = description};

	only_read(&passage);
	return verify_checksum(&passage);
}

/*
 * pg_restore has failed although the object is undamaged.  The backup is at
 * fault only for an error that its entry raises again, and that is not an
 * error of the server.
 */
static char *
classify_restore_error(const Passage *passage)
{
	const RestoreJob *job = passage->job;
	const ChildEnd *end = &passage->end;
	FailedRestore failed = {
		.storage = passage->storage,
		.description = passage->description,
		.login = job->login,
		.settings = job->settings,
		.database = job->database,
		.dump = passage->dump,
		.words = end->words,
	};
	const char *sqlstate = reproduce_failure(&failed);
	const char *output = describe_restore_error(&failed, sqlstate);

	log_restore_error(&failed);
	if (sqlstate != NULL && strcmp(sqlstate, "00000") != 0 &&
		!is_server_error(sqlstate))
		return pstrdup(output);
	ereport(
		ERROR,
		(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
		 errmsg("pg_restore %s: %s", end->status, output),
		 sqlstate == NULL
			 ? errdetail("The session of pg_restore was ended, or the entry "
						 "that failed could not be executed again.")
		 : strcmp(sqlstate, "00000") == 0
			 ? errdetail("The entry that failed was executed again and did "
						 "not fail.")
			 : errdetail("The entry that failed was executed again and "
						 "failed with SQLSTATE %s, which is an error of the "
						 "server.",
						 sqlstate),
		 errhint("Remove the cause, and restore the backup again. This "
				 "failure does not count against the backup.")));
	return NULL;
}

char *
restore_object(RestoreJob *job)
{
	Passage passage = {
		.job = job, .storage = job->storage, .description = job->description};
	ErrorData *error;
	char *refusal;

	error = try_in_subtransaction(restore_on_the_way, &passage);
	if (error != NULL && passage.child != NULL)
		child_kill(passage.child);
	if (error != NULL && error->sqlerrcode != ERRCODE_DATA_CORRUPTED)
		ReThrowError(error);
	/* a download that broke off proves nothing about the object */
	if (error != NULL)
		only_read(&passage);
	refusal = verify_checksum(&passage);
	if (refusal != NULL)
		return refusal;
	if (error != NULL)
		return psprintf(
			"the dump cannot be read, although the object is undamaged: %s",
			error->message);
	return passage.end.succeeded ? NULL : classify_restore_error(&passage);
}
