/*-------------------------------------------------------------------------
 *
 * file_writer.c
 *	  Writing an object to a folder.
 *
 * The bytes go to a hidden file beside the object's.  When it is complete,
 * durable and has been read back, it gets the object's name by link(), which
 * never replaces a file.
 *
 * As long as it lives, the writer has the hidden file locked.  So there is
 * one writer of a key at a time, who alone may touch the mark; and a hidden file
 * that is not locked is what somebody left who is gone.  Nobody ever writes to
 * such a file, which may be an object's already, by its other name: it is
 * unlinked under the lock, and a new one is made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cryptohash.h"
#include "common/file_perm.h"
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
	char *path;
	char *unfinished;
	char *mark_path;
	int fd; /* of the hidden file, locked; -1 when there is none */
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

/*
 * Make folders and files in them durable: the folder of the object, and all
 * those that it is in, up to the first that pgmaint does not make.
 */
void
file_sync_folders(const Storage *storage, const char *key)
{
	const char *last =
		below_data_directory(storage) ? DataDir : storage->options->folder;
	char *path = file_path(storage, key);

	do
	{
		get_parent_directory(path);
		/* the server itself would not survive it; an archive's file is less */
		if (fsync_fname_ext(path, true, false, LOG) != 0 && errno != ENOENT)
			file_failed(storage, key, "make durable the folder of");
	} while (strlen(path) > strlen(last));
}

/*
 * Make the folders of the object.  The storage's own must be there unless it
 * is below the data directory.
 */
static void
make_folders(const FileWriter *writer)
{
	char *path = pstrdup(writer->path);
	size_t there = below_data_directory(writer->storage)
					   ? strlen(DataDir)
					   : strlen(writer->storage->options->folder);

	for (char *c = path + there + 1; *c != '\0'; c++)
	{
		if (*c != '/')
			continue;
		*c = '\0';
		if (MakePGDirectory(path) != 0 && errno != EEXIST)
			writer_failed(writer, "make the folder of");
		*c = '/';
	}
	pfree(path);
}

static void
refuse_duplicate(const FileWriter *writer)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("object \"%s\" in storage \"%s\" already exists",
					writer->key, storage_name(writer->storage)),
			 errdetail("Objects are never replaced."),
			 errhint("Delete it first, if it is not needed any more.")));
}

static bool
is_there(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

/*
 * Is it still the open file that has this name?
 */
static bool
has_name(int fd, const char *path)
{
	struct stat open;
	struct stat named;

	return fstat(fd, &open) == 0 && lstat(path, &named) == 0 &&
		   open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/*
 * Remove what a writer who is gone has left of this key; false if there is a
 * writer.  The mark of an object that never came to be goes too.
 */
static bool
remove_leftovers(const Storage *storage, const char *key)
{
	char *unfinished = file_companion(storage, key, UNFINISHED_SUFFIX);
	int fd = OpenTransientFile(unfinished, O_RDWR | PG_BINARY);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (fd < 0)
		file_failed(storage, key, "open what is left of");
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK)
			file_failed(storage, key, "lock what is left of");
		CloseTransientFile(fd);
		return false;
	}
	if (has_name(fd, unfinished))
	{
		if (!is_there(file_path(storage, key)))
			(void) unlink(file_companion(storage, key, MARK_SUFFIX));
		if (unlink(unfinished) != 0)
			file_failed(storage, key, "remove what is left of");
	}
	CloseTransientFile(fd);
	return true;
}

void
file_remove_unfinished(Storage *storage, const char *key)
{
	(void) remove_leftovers(storage, key);
}

/*
 * Make the hidden file, and lock it.  Between the two somebody may have taken
 * it for a leftover.
 */
static void
claim_key(FileWriter *writer)
{
	for (;;)
	{
		int fd;

		CHECK_FOR_INTERRUPTS();
		if (!remove_leftovers(writer->storage, writer->key))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("object \"%s\" in storage \"%s\" is being "
							"written by another process",
							writer->key, storage_name(writer->storage))));
		fd = OpenTransientFile(writer->unfinished,
							   O_RDWR | O_CREAT | O_EXCL | PG_BINARY);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			writer_failed(writer, "create");
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
			has_name(fd, writer->unfinished))
		{
			writer->fd = fd;
			return;
		}
		CloseTransientFile(fd);
	}
}

static void
writer_begin(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;

	if (is_there(writer->path))
		refuse_duplicate(writer);
	make_folders(writer);
	claim_key(writer);
	/* whoever had it locked may have finished meanwhile */
	if (is_there(writer->path))
		refuse_duplicate(writer);
	writer->hash = pg_cryptohash_create(PG_SHA256);
	check_hash(pg_cryptohash_init(writer->hash) >= 0);
}

/*
 * Write all of it; what the file system does not take without saying why, it
 * has no room for.
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
	write_all(writer, writer->fd, data, length);
	writer->bytes += length;
}

/*
 * Read the file back and compare it with what was written, from the disk
 * rather than from memory as far as the kernel does what it is asked.
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
	(void) posix_fadvise(writer->fd, 0, 0, POSIX_FADV_DONTNEED);
	while ((length =
				pread(writer->fd, buffer, READ_BACK_SIZE, (off_t) bytes)) > 0)
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
			 errmsg("what was written to object \"%s\" in storage \"%s\" is "
					"not what is read back",
					writer->key, storage_name(writer->storage)),
			 errdetail("Written were " UINT64_FORMAT
					   " bytes, read back " UINT64_FORMAT ".",
					   writer->bytes, bytes),
			 errhint("Look into the kernel's messages for errors of the disk "
					 "below folder \"%s\".",
					 writer->storage->options->folder)));
	pfree(buffer);
}

/*
 * Put the mark beside the object, or nothing, where there may be the mark of
 * one that never came to be.
 */
static void
write_mark(FileWriter *writer)
{
	int fd;

	if (writer->mark == NULL)
	{
		if (unlink(writer->mark_path) != 0 && errno != ENOENT)
			writer_failed(writer, "remove the mark of");
		return;
	}
	writer->marked = true;
	fd = OpenTransientFile(writer->mark_path,
						   O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY);
	if (fd < 0)
		writer_failed(writer, "write the mark of");
	write_all(writer, fd, writer->mark, strlen(writer->mark));
	if (pg_fsync(fd) != 0 || CloseTransientFile(fd) != 0)
		writer_failed(writer, "make durable the mark of");
}

/*
 * The hash belongs to the transaction, which would free it, but not before its
 * end; and so it is with the file.
 */
static void
release(FileWriter *writer)
{
	pg_cryptohash_free(writer->hash);
	writer->hash = NULL;
	if (writer->fd >= 0)
		CloseTransientFile(writer->fd);
	writer->fd = -1;
}

static void
writer_end(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;

	if (pg_fsync(writer->fd) != 0)
		writer_failed(writer, "make durable");
	read_back(writer);
	if (is_there(writer->path))
		refuse_duplicate(writer);
	write_mark(writer);
	if (link(writer->unfinished, writer->path) != 0)
	{
		if (errno == EEXIST)
			refuse_duplicate(writer);
		writer_failed(writer, "name");
	}
	writer->linked = true;
	file_sync_folders(writer->storage, writer->key);
	/* if it stays, it is in nobody's way */
	(void) unlink(writer->unfinished);
	release(writer);
}

static void
unlink_quietly(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(WARNING, (errcode_for_file_access(),
						  errmsg("could not remove file \"%s\": %m", path)));
}

static void
writer_abort(Sink *sink)
{
	FileWriter *writer = (FileWriter *) sink;

	if (writer->linked)
		unlink_quietly(writer->path);
	if (writer->marked)
		unlink_quietly(writer->mark_path);
	if (writer->fd >= 0)
		unlink_quietly(writer->unfinished);
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
	writer->path = file_path(storage, key);
	writer->unfinished = file_companion(storage, key, UNFINISHED_SUFFIX);
	writer->mark_path = file_companion(storage, key, MARK_SUFFIX);
	writer->fd = -1;
	MemoryContextSwitchTo(caller);
	return &writer->sink;
}
