/*-------------------------------------------------------------------------
 *
 * file_backend.c
 *	  A folder on the server's machine as a storage.
 *
 * It requires the rights that COPY requires to read and write files, both of
 * the role that uses the storage and of its owner, who has chosen the folder.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "base/diskspace.h"
#include "storage/file.h"

typedef struct FileReader
{
	Source source;
	Storage *storage;
	char *key;
	Handle *file; /* NULL when there is none */
} FileReader;

static void
check_right_of(const Storage *storage, Oid member, Oid role, const char *verb)
{
	if (has_privs_of_role(member, role))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied to %s storage \"%s\"", verb,
						   storage_name(storage)),
					errdetail("The storage is a folder of the server, and "
							  "role \"%s\" does not have the privileges of "
							  "role \"%s\".",
							  GetUserNameFromId(member, false),
							  GetUserNameFromId(role, false)),
					errhint("Grant role \"%s\" to the role that uses the "
							"storage and to the role that owns it.",
							GetUserNameFromId(role, false))));
}

static void
check_right(const Storage *storage, StorageAccess access)
{
	bool write = access == STORAGE_WRITE;
	Oid needed =
		write ? ROLE_PG_WRITE_SERVER_FILES : ROLE_PG_READ_SERVER_FILES;
	const char *verb = write ? "write to" : "read";

	check_right_of(storage, GetUserId(), needed, verb);
	check_right_of(storage, storage->options->owner, needed, verb);
}

static void
file_open(Storage *storage, StorageAccess access)
{
	check_right(storage, access);
	(void) file_top(storage, false);
}

/*
 * The mark of an object, or NULL if it has none.
 */
static char *
read_mark(const Storage *storage, const Handle *folder, const char *key)
{
	Handle *file =
		open_file_in(folder, file_companion(key, MARK_SUFFIX), O_RDONLY);
	char mark[MAX_MARK_LENGTH];
	ssize_t length;

	if (file == NULL && errno == ENOENT)
		return NULL;
	if (file == NULL || (length = read(file->fd, mark, sizeof(mark))) < 0)
		file_failed(storage, key, "read the mark of");
	(void) close_handle(file);
	return pnstrdup(mark, length);
}

/*
 * A folder is not an object.  Anything else that is not a regular file raises
 * an ERROR, so that it is not taken for a missing object.
 */
static bool
file_stat(Storage *storage, const char *key, StoredObject *object)
{
	const char *name = file_name(storage, key);
	Handle *folder = file_folder(storage, key, "look up");
	struct stat status;

	if (folder == NULL)
		return false;
	if (!look_in(folder, name, &status))
	{
		if (errno != ENOENT)
			file_failed(storage, key, "look up");
		(void) close_handle(folder);
		return false;
	}
	if (S_ISDIR(status.st_mode))
	{
		(void) close_handle(folder);
		return false;
	}
	if (!S_ISREG(status.st_mode))
	{
		errno = S_ISLNK(status.st_mode) ? ELOOP : ENXIO;
		file_failed(storage, key, "look up");
	}
	object->key = pstrdup(key);
	object->bytes = status.st_size;
	object->modified = time_t_to_timestamptz(status.st_mtime);
	object->etag = NULL;
	object->mark = read_mark(storage, folder, key);
	(void) close_handle(folder);
	return true;
}

static size_t
reader_read(Source *source, char *buffer, size_t size)
{
	FileReader *reader = (FileReader *) source;
	ssize_t length;

	CHECK_FOR_INTERRUPTS();
	length = read(reader->file->fd, buffer, size);
	if (length < 0)
		file_failed(reader->storage, reader->key, "read");
	return length;
}

static void
reader_close(Source *source)
{
	FileReader *reader = (FileReader *) source;

	if (reader->file != NULL)
		(void) close_handle(reader->file);
	reader->file = NULL;
}

static const SourceOps reader_ops = {.read = reader_read,
									 .close = reader_close};

/*
 * The file is allocated in the context of the chain and closed with it.
 */
static Source *
file_reader(Storage *storage, const char *key)
{
	const char *name = file_name(storage, key);
	FileReader *reader;
	MemoryContext caller;
	Handle *folder;

	check_right(storage, STORAGE_READ);
	reader =
		(FileReader *) source_create(&reader_ops, sizeof(FileReader), NULL);
	caller = MemoryContextSwitchTo(reader->source.context);
	reader->storage = storage;
	reader->key = pstrdup(key);
	folder = file_folder(storage, key, "open");
	if (folder != NULL)
		reader->file = open_file_in(folder, name, O_RDONLY);
	if (reader->file == NULL)
		file_failed(storage, key, "open");
	(void) close_handle(folder);
	MemoryContextSwitchTo(caller);
	return &reader->source;
}

/*
 * The mark is removed last: an object without a mark would belong to no
 * writer.
 */
static void
file_remove(Storage *storage, const char *key)
{
	const char *name = file_name(storage, key);
	Handle *folder;
	bool removed = false;

	check_right(storage, STORAGE_WRITE);
	folder = file_folder(storage, key, "delete");
	if (folder == NULL)
		return;
	if (remove_file_in(folder, name))
		removed = true;
	else if (errno != ENOENT)
		file_failed(storage, key, "delete");
	if (remove_file_in(folder, file_companion(key, MARK_SUFFIX)))
		removed = true;
	else if (errno != ENOENT)
		file_failed(storage, key, "delete the mark of");
	if (removed && !sync_folder(folder))
		file_failed(storage, key, "sync the folder of");
	(void) close_handle(folder);
}

static void
checked_list(Storage *storage, const char *prefix, StorageVisit visit,
			 void *context)
{
	check_right(storage, STORAGE_READ);
	file_list(storage, prefix, visit, context);
}

static Sink *
checked_writer(Storage *storage, const char *key, const char *content_type,
			   const char *mark)
{
	int longest = file_longest_key(storage->options->folder);

	check_right(storage, STORAGE_WRITE);
	if (strlen(key) > longest)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("key \"%s\" is longer than %d bytes, the limit of "
						"storage \"%s\"",
						key, longest, storage_name(storage)),
				 errdetail("The storage is below the data directory, where "
						   "pg_basebackup cannot copy paths of 100 bytes or "
						   "more.")));
	return file_writer(storage, key, mark);
}

static void
checked_remove_unfinished(Storage *storage, const char *key)
{
	check_right(storage, STORAGE_WRITE);
	file_remove_unfinished(storage, key);
}

/*
 * A folder below the data directory is created when it is needed.
 */
static int64
file_free_bytes(Storage *storage)
{
	const Handle *top = file_top(storage, false);

	return top == NULL
			   ? free_bytes_of_folder(DataDir)
			   : free_bytes_of_descriptor(top->fd, storage->options->folder);
}

const StorageBackend file_backend = {
	.open = file_open,
	.writer = checked_writer,
	.reader = file_reader,
	.stat = file_stat,
	.list = checked_list,
	.remove = file_remove,
	.remove_unfinished = checked_remove_unfinished,
	.free_bytes = file_free_bytes,
};
