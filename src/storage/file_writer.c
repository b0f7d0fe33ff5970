/*-------------------------------------------------------------------------
 *
 * file_writer.c
 *	  Writing an object to a folder.
 *
 * The bytes are written to a hidden file beside the object's.  When it is
 * complete, durable and was read back, it gets the object's name by link(),
 * which never replaces a file.
 *
 * The writer holds a lock on the hidden file.  So there is one writer of a key
 * at a time, which alone may change the mark; and a hidden file that is not
 * locked is a leftover.  No writer ever writes to a leftover, which may be
 * linked to an object: it is unlinked under the lock, and a new file is
 * created.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "storage/file.h"
#include "stream/digest.h"

#define READ_BACK_SIZE 131072

typedef struct FileWriter
{
	Sink sink;
	Storage *storage;
	char *key;
	char *mark; /* NULL if it has none */
	const char *name;
	char *unfinished;
	char *mark_name;
	Handle *folder; /* in which all three are */
	Handle *file;	/* the hidden one, locked; NULL when there is none */
	bool marked;
	bool linked;
	uint64 bytes;
	pg_cryptohash_ctx *hash;
} FileWriter;

static void
writer_failed(const FileWriter *writer, const char *what)
{
	file_failed(writer->storage, writer->key, what);
}

static void
refuse_duplicate(const FileWriter *writer)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("object \"%s\" in storage \"%s\" already exists",
					writer->key, storage_name(writer->storage)),
			 errdetail("Objects are never replaced."),
			 errhint("Remove the object first if it is no longer needed.")));
}

static bool
is_there(const Handle *folder, const char *name)
{
	struct stat status;

	return look_in(folder, name, &status);
}

/*
 * Does this name still lead to the open file?
 */
static bool
has_name(const Handle *file, const Handle *folder, const char *name)
{
	struct stat open;
	struct stat named;

	return fstat(file->fd, &open) == 0 && look_in(folder, name, &named) &&
		   open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/*
 * Remove the leftovers of a former writer of this key; false if there is a
 * writer.  The mark of an object that was never completed is removed too.
 */
static bool
remove_leftovers(const Storage *storage, const Handle *folder, const char *key)
{
	char *unfinished = file_companion(key, UNFINISHED_SUFFIX);
	char *mark = file_companion(key, MARK_SUFFIX);
	Handle *file = open_file_in(folder, unfinished, O_RDWR);

	if (file == NULL && errno == ENOENT)
		return true;
	if (file == NULL)
		file_failed(storage, key, "open the unfinished file of");
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK)
			file_failed(storage, key, "lock the unfinished file of");
		(void) close_handle(file);
		return false;
	}
	if (has_name(file, folder, unfinished))
	{
		if (!is_there(folder, file_name(storage, key)) &&
			!remove_file_in(folder, mark) && errno != ENOENT)
			file_failed(storage, key, "remove the mark of");
		if (!remove_file_in(folder, unfinished))
			file_failed(storage, key, "remove the unfinished file of");
	}
	(void) close_handle(file);
	return true;
}

void
file_remove_unfinished(Storage *storage, const char *key)
{
	Handle *folder = file_folder(storage, key, "open the unfinished file of");

	if (folder == NULL)
		return;
	(void) remove_leftovers(storage, folder, key);
	(void) close_handle(folder);
}

/*
 * Create the hidden file and lock it.  Another process may remove it as a
 * leftover before it is locked.
 */
static void
claim_key(FileWriter *writer)
{
	for (;;)
	{
		Handle *file;

		CHECK_FOR_INTERRUPTS();
		if (!remove_leftovers(writer->storage, writer->folder, writer->key))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("object \"%s\" in storage \"%s\" is being "
							"written by another process",
							writer->key, storage_name(writer->storage))));
		storage_written = true;
		file = open_file_in(writer->folder, writer->unfinished,
							O_RDWR | O_CREAT | O_EXCL);
		if (file == NULL && errno == EEXIST)
			continue;
		if (file == NULL)
			writer_failed(writer, "create");
		if (flock(file->fd, LOCK_EX | LOCK_NB) == 0 &&
			has_name(file, writer->folder, writer->unfinished))
		{
			writer->file = file;
			return;
		}
		(void) close_handle(file);
	}
}

/*
 * The folder stays open until the object is complete: all of its files are in
 * one folder.
 */
static void
open_object_folder(FileWriter *writer)
{
	const Handle *top = file_top(writer->storage, true);

	writer->folder = open_folder_of(top, writer->key, FOLDER_LOOK);
	if (writer->folder != NULL && is_there(writer->folder, writer->name))
		refuse_duplicate(writer);
	if (writer->folder == NULL && errno == ENOENT)
		writer->folder = open_folder_of(top, writer->key, FOLDER_MAKE);
	if (writer->folder == NULL)
		writer_failed(writer, "create the folder of");
}

static void
writer_begin(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;
	MemoryContext caller = MemoryContextSwitchTo(sink->context);

	open_object_folder(writer);
	claim_key(writer);
	/* the former holder of the lock may have finished the object */
	if (is_there(writer->folder, writer->name))
		refuse_duplicate(writer);
	writer->hash = pg_cryptohash_create(PG_SHA256);
	check_hash(pg_cryptohash_init(writer->hash) >= 0);
	MemoryContextSwitchTo(caller);
}

/*
 * Write all bytes; a short write without an errno means that the disk is full.
 */
static void
write_all(const FileWriter *writer, int fd, const char *data, size_t length)
{
	while (length > 0)
	{
		ssize_t written;

		CHECK_FOR_INTERRUPTS();
		errno = 0;
		written = write(fd, data, length);
		if (written <= 0)
		{
			if (errno == EINTR)
				continue;
			if (errno == 0)
				errno = ENOSPC;
			writer_failed(writer, "write");
		}
		data += written;
		length -= written;
	}
}

static void
writer_write(Sink *sink, const char *data, size_t length)
{
	FileWriter *writer = (FileWriter *) sink;

	check_hash(
		pg_cryptohash_update(writer->hash, (const uint8 *) data, length) >= 0);
	write_all(writer, writer->file->fd, data, length);
	writer->bytes += length;
}

/*
 * Read the file back and compare it with the bytes that were written, from the
 * disk instead of the page cache as far as the kernel obeys.
 */
static void
read_back(FileWriter *writer)
{
	uint8 written[PG_SHA256_DIGEST_LENGTH];
	uint8 found[PG_SHA256_DIGEST_LENGTH];
	uint8 *buffer = palloc(READ_BACK_SIZE);
	uint64 bytes = 0;
	ssize_t length;

	check_hash(pg_cryptohash_final(writer->hash, written, sizeof(written)) >=
				   0 &&
			   pg_cryptohash_init(writer->hash) >= 0);
	(void) posix_fadvise(writer->file->fd, 0, 0, POSIX_FADV_DONTNEED);
	while ((length = pread(writer->file->fd, buffer, READ_BACK_SIZE,
						   (off_t) bytes)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		check_hash(pg_cryptohash_update(writer->hash, buffer, length) >= 0);
		bytes += length;
	}
	if (length < 0)
		writer_failed(writer, "read back");
	check_hash(pg_cryptohash_final(writer->hash, found, sizeof(found)) >= 0);
	if (bytes != writer->bytes || memcmp(written, found, sizeof(found)) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" in storage \"%s\" has other contents than "
					"were written",
					writer->key, storage_name(writer->storage)),
			 errdetail("The server wrote " UINT64_FORMAT
					   " bytes and read back " UINT64_FORMAT " bytes.",
					   writer->bytes, bytes),
			 errhint("Check the kernel log for errors of the disk below "
					 "folder \"%s\".",
					 writer->storage->options->folder)));
	pfree(buffer);
}

/*
 * Write the mark of the object, if it has one.  The mark of an object that was
 * never completed may exist: it is unlinked first, since writing to an
 * existing file would write to all names that it has.
 */
static void
write_mark(FileWriter *writer)
{
	Handle *file;

	if (!remove_file_in(writer->folder, writer->mark_name) && errno != ENOENT)
		writer_failed(writer, "remove the mark of");
	if (writer->mark == NULL)
		return;
	file = open_file_in(writer->folder, writer->mark_name,
						O_WRONLY | O_CREAT | O_EXCL);
	if (file == NULL)
		writer_failed(writer, "write the mark of");
	writer->marked = true;
	write_all(writer, file->fd, writer->mark, strlen(writer->mark));
	if (pg_fsync(file->fd) != 0 || !close_handle(file))
		writer_failed(writer, "sync the mark of");
}

/*
 * Release the hash and the files now: the transaction would release them only
 * at its end.
 */
static void
release(FileWriter *writer)
{
	pg_cryptohash_free(writer->hash);
	writer->hash = NULL;
	if (writer->file != NULL)
		(void) close_handle(writer->file);
	if (writer->folder != NULL)
		(void) close_handle(writer->folder);
	writer->file = writer->folder = NULL;
}

static void
writer_end(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;
	int folder = writer->folder->fd;

	if (pg_fsync(writer->file->fd) != 0)
		writer_failed(writer, "sync");
	read_back(writer);
	if (is_there(writer->folder, writer->name))
		refuse_duplicate(writer);
	write_mark(writer);
	if (linkat(folder, writer->unfinished, folder, writer->name, 0) != 0)
	{
		if (errno == EEXIST)
			refuse_duplicate(writer);
		writer_failed(writer, "link");
	}
	writer->linked = true;
	if (!sync_folder(writer->folder))
		writer_failed(writer, "sync the folder of");
	file_sync_folders(writer->storage, writer->key);
	/* a hidden file that stays does no harm */
	(void) remove_file_in(writer->folder, writer->unfinished);
	release(writer);
}

static void
remove_quietly(const FileWriter *writer, const char *name)
{
	if (!remove_file_in(writer->folder, name) && errno != ENOENT)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\" of object \"%s\" in "
						"storage \"%s\": %m",
						name, writer->key, storage_name(writer->storage))));
}

static void
writer_abort(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;

	if (writer->linked)
		remove_quietly(writer, writer->name);
	if (writer->marked)
		remove_quietly(writer, writer->mark_name);
	if (writer->file != NULL)
		remove_quietly(writer, writer->unfinished);
	release(writer);
}

static const SinkOps writer_ops = {
	.begin = writer_begin,
	.write = writer_write,
	.end = writer_end,
	.abort = writer_abort,
};

Sink *
file_writer(Storage *storage, const char *key, const char *mark)
{
	FileWriter *writer =
		(FileWriter *) sink_create(&writer_ops, sizeof(FileWriter), NULL);
	MemoryContext caller = MemoryContextSwitchTo(writer->sink.context);

	writer->storage = storage;
	writer->key = pstrdup(key);
	writer->mark = mark == NULL ? NULL : pstrdup(mark);
	writer->name = file_name(storage, writer->key);
	writer->unfinished = file_companion(key, UNFINISHED_SUFFIX);
	writer->mark_name = file_companion(key, MARK_SUFFIX);
	MemoryContextSwitchTo(caller);
	return &writer->sink;
}
