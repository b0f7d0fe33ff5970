/*-------------------------------------------------------------------------
 *
 * file.c
 *	  A folder of the server's machine as a storage.
 *
 * It asks for the rights that COPY asks for to read and write files, both of
 * the role that uses the storage and of the one that owns it, who has chosen
 * the folder.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/timestamp.h"

#include "base/diskspace.h"
#include "storage/file.h"

/* of a path below the data directory */
#define MAX_TAR_PATH 99

typedef struct FileReader
{
	Source source;
	Storage *storage;
	char *key;
	int fd; /* -1 when there is none */
} FileReader;

/*
 * An ERROR with what errno says, and where.
 */
void
file_failed(const Storage *storage, const char *key, const char *what)
{
	bool over_quota = errno == EDQUOT;

	ereport(ERROR, (over_quota ? errcode(ERRCODE_DISK_FULL)
							   : errcode_for_file_access(),
					errmsg("could not %s object \"%s\" in storage \"%s\": %m",
						   what, key, storage_name(storage)),
					errdetail("The storage is the folder \"%s\".",
							  storage->options->folder)));
}

/*
 * Only what is below the data directory is made by pgmaint: elsewhere, a
 * folder that is not there may be a disk that is not mounted.
 */
bool
below_data_directory(const Storage *storage)
{
	return path_is_prefix_of_path(DataDir, storage->options->folder);
}

/*
 * pg_basebackup fails where a path below the data directory is longer than
 * names in tar archives may be.  The longest file of an object is the hidden
 * one that belongs to it.
 */
int
file_longest_key(const char *folder)
{
	int taken;

	if (!path_is_prefix_of_path(DataDir, folder))
		return MAX_KEY_LENGTH;
	taken =
		(int) (strlen(folder) - strlen(DataDir) +
			   Max(strlen("." MARK_SUFFIX), strlen("." UNFINISHED_SUFFIX)));
	return Max(MAX_TAR_PATH - taken, 0);
}

static void
check_right_of(const Storage *storage, Oid member, Oid role, const char *verb)
{
	if (has_privs_of_role(member, role))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied to %s storage \"%s\"", verb,
						   storage_name(storage)),
					errdetail("It is a folder of the server, and role \"%s\" "
							  "does not have the privileges of role \"%s\".",
							  GetUserNameFromId(member, false),
							  GetUserNameFromId(role, false)),
					errhint("Both the role that uses the storage and the one "
							"that owns it need them.")));
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
	const char *folder = storage->options->folder;
	struct stat status;

	check_right(storage, access);
	if (stat(folder, &status) != 0)
	{
		bool missing = errno == ENOENT;

		if (missing && below_data_directory(storage))
			return;
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("could not use folder \"%s\" of storage \"%s\": %m",
					folder, storage_name(storage)),
			 missing
				 ? errhint("Create the folder, for the server's user alone, "
						   "or mount the disk that has it.")
				 : 0));
	}
	if (!S_ISDIR(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" of storage \"%s\" is not a folder",
							   folder, storage_name(storage))));
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name);
	size_t end = strlen(suffix);

	return length >= end && strcmp(name + length - end, suffix) == 0;
}

bool
is_companion(const char *name)
{
	return name[0] == '.' && (ends_with(name, MARK_SUFFIX) ||
							  ends_with(name, UNFINISHED_SUFFIX));
}

static const char *
last_part(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash == NULL ? key : slash + 1;
}

/*
 * The file that an object is.
 */
char *
file_path(const Storage *storage, const char *key)
{
	if (is_companion(last_part(key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be a key in storage \"%s\"", key,
						storage_name(storage)),
				 errdetail("Hidden files that end in \"%s\" or \"%s\" belong "
						   "to other objects.",
						   MARK_SUFFIX, UNFINISHED_SUFFIX)));
	return psprintf("%s/%s", storage->options->folder, key);
}

/*
 * A file that belongs to it.
 */
char *
file_companion(const Storage *storage, const char *key, const char *suffix)
{
	const char *name = last_part(key);

	return psprintf("%s/%.*s.%s%s", storage->options->folder,
					(int) (name - key), key, name, suffix);
}

/*
 * The mark of an object, or NULL if it has none.
 */
static char *
read_mark(const Storage *storage, const char *key)
{
	int fd = OpenTransientFile(file_companion(storage, key, MARK_SUFFIX),
							   O_RDONLY | PG_BINARY);
	char mark[MAX_MARK_LENGTH];
	ssize_t length;

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || (length = read(fd, mark, sizeof(mark))) < 0)
		file_failed(storage, key, "read the mark of");
	CloseTransientFile(fd);
	return pnstrdup(mark, length);
}

static bool
file_stat(Storage *storage, const char *key, StoredObject *object)
{
	struct stat status;

	if (stat(file_path(storage, key), &status) != 0)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return false;
		file_failed(storage, key, "look at");
	}
	if (!S_ISREG(status.st_mode))
		return false;
	object->key = pstrdup(key);
	object->bytes = status.st_size;
	object->modified = time_t_to_timestamptz(status.st_mtime);
	object->etag = NULL;
	object->mark = read_mark(storage, key);
	return true;
}

static size_t
reader_read(Source *source, char *buffer, size_t size)
{
	FileReader *reader = (FileReader *) source;
	ssize_t length;

	CHECK_FOR_INTERRUPTS();
	length = read(reader->fd, buffer, size);
	if (length < 0)
		file_failed(reader->storage, reader->key, "read");
	return length;
}

static void
reader_close(Source *source)
{
	FileReader *reader = (FileReader *) source;

	if (reader->fd >= 0)
		CloseTransientFile(reader->fd);
	reader->fd = -1;
}

static const SourceOps reader_ops = {.read = reader_read,
									 .close = reader_close};

static Source *
file_reader(Storage *storage, const char *key)
{
	char *path = file_path(storage, key);
	FileReader *reader;
	struct stat status;

	check_right(storage, STORAGE_READ);
	reader =
		(FileReader *) source_create(&reader_ops, sizeof(FileReader), NULL);
	reader->storage = storage;
	reader->key = MemoryContextStrdup(reader->source.context, key);
	reader->fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (reader->fd < 0 || fstat(reader->fd, &status) != 0)
		file_failed(storage, key, "open");
	if (!S_ISREG(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" in storage \"%s\" is not a file", key,
							   storage_name(storage))));
	return &reader->source;
}

/*
 * The mark goes last: without an object it tells nothing, an object without
 * it would be nobody's.
 */
static void
file_remove(Storage *storage, const char *key)
{
	char *path = file_path(storage, key);
	char *mark = file_companion(storage, key, MARK_SUFFIX);
	bool removed = false;

	check_right(storage, STORAGE_WRITE);
	if (unlink(path) == 0)
		removed = true;
	else if (errno != ENOENT && errno != ENOTDIR)
		file_failed(storage, key, "delete");
	if (unlink(mark) == 0)
		removed = true;
	else if (errno != ENOENT && errno != ENOTDIR)
		file_failed(storage, key, "delete the mark of");
	if (removed)
		file_sync_folders(storage, key);
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
				 errmsg("key \"%s\" exceeds %d bytes, the longest that "
						"storage \"%s\" takes",
						key, longest, storage_name(storage)),
				 errdetail("The storage is below the data directory, where "
						   "pg_basebackup copies no path of 100 bytes.")));
	return file_writer(storage, key, mark);
}

static void
checked_remove_unfinished(Storage *storage, const char *key)
{
	check_right(storage, STORAGE_WRITE);
	file_remove_unfinished(storage, key);
}

/*
 * The folder below the data directory is made when it is needed.
 */
static int64
file_free_bytes(Storage *storage)
{
	const char *folder = storage->options->folder;

	if (access(folder, F_OK) != 0 && below_data_directory(storage))
		folder = DataDir;
	return free_bytes_of_folder(folder);
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
