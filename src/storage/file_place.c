/*-------------------------------------------------------------------------
 *
 * file_place.c
 *	  Paths of the files of an object: the folder of the storage, the folder in
 *	  it, and the names of the files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "storage/file.h"
#include "storage/folder_rights.h"

/* of a path below the data directory */
#define MAX_TAR_PATH 99

/*
 * How a path is not a regular file, as a clause; NULL if errno has another
 * reason.
 */
static const char *
wrong_kind(void)
{
	if (errno == ELOOP)
		return "its path contains a symbolic link, which is not followed";
	return errno == EISDIR || errno == ENXIO ? "it is not a regular file"
											 : NULL;
}

/*
 * Raise an ERROR with the reason in errno and the folder of the storage.
 */
void
file_failed(const Storage *storage, const char *key, const char *what)
{
	bool over_quota = errno == EDQUOT;
	bool denied = errno == EACCES;
	const char *kind = wrong_kind();

	ereport(ERROR,
			(over_quota		? errcode(ERRCODE_DISK_FULL)
			 : kind != NULL ? errcode(ERRCODE_WRONG_OBJECT_TYPE)
							: errcode_for_file_access(),
			 kind != NULL
				 ? errmsg("could not %s object \"%s\" in storage \"%s\": %s",
						  what, key, storage_name(storage), kind)
				 : errmsg("could not %s object \"%s\" in storage \"%s\": %m",
						  what, key, storage_name(storage)),
			 errdetail("The storage is the folder \"%s\".",
					   storage->options->folder),
			 denied ? errhint("Make the server's user the owner of the "
							  "folder and of its contents, with mode 0700.")
					: 0));
}

/*
 * pgmaint creates only folders below the data directory: elsewhere, a folder
 * that is missing may be on a disk that is not mounted.
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

/*
 * Open the folder after checking who can change it; NULL if pgmaint has yet to
 * create it.
 */
static Handle *
open_top(const Storage *storage)
{
	const char *folder = storage->options->folder;
	Handle *top = NULL;
	struct stat status;
	bool missing;
	bool denied;

	if (stat(folder, &status) == 0)
	{
		if (!S_ISDIR(status.st_mode))
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("\"%s\" of storage \"%s\" is not a folder",
								   folder, storage_name(storage))));
		check_folder_rights(storage_name(storage), folder);
		top = open_folder(folder);
	}
	missing = errno == ENOENT;
	denied = errno == EACCES;
	if (top != NULL || (missing && below_data_directory(storage)))
		return top;
	ereport(
		ERROR,
		(errcode_for_file_access(),
		 errmsg("could not use folder \"%s\" of storage \"%s\": %m", folder,
				storage_name(storage)),
		 missing  ? errhint("Create the folder with the server's user as its "
							 "owner and mode 0700, or mount the file system "
							 "that contains it.")
		 : denied ? errhint("Give the server's user access to the folder and "
							"to its parent folders.")
				  : 0));
	return NULL;
}

/*
 * The folder of the storage, which stays the one that was opened first even if
 * it is renamed; NULL if it does not exist and is not to be created.
 */
Handle *
file_top(Storage *storage, bool make)
{
	MemoryContext caller = MemoryContextSwitchTo(storage->context);

	if (storage->state == NULL)
		storage->state = open_top(storage);
	if (storage->state == NULL && make)
	{
		char *path = pstrdup(storage->options->folder);

		if (pg_mkdir_p(path, pg_dir_create_mode) == 0)
			storage->state = open_top(storage);
		if (storage->state == NULL)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not create folder \"%s\" of storage "
							"\"%s\": %m",
							storage->options->folder, storage_name(storage))));
	}
	MemoryContextSwitchTo(caller);
	return storage->state;
}

/*
 * The folder of the file of an object; NULL if it does not exist.
 */
Handle *
file_folder(Storage *storage, const char *key, const char *what)
{
	const Handle *top = file_top(storage, false);
	Handle *folder;

	errno = ENOENT;
	folder = top == NULL ? NULL : open_folder_of(top, key, FOLDER_LOOK);
	if (folder == NULL && errno != ENOENT && errno != ENOTDIR)
		file_failed(storage, key, what);
	return folder;
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
 * The name of the file of an object in its folder.
 */
const char *
file_name(const Storage *storage, const char *key)
{
	const char *name = last_part(key);

	if (is_companion(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be a key in storage \"%s\"", key,
						storage_name(storage)),
				 errdetail("Hidden files that end in \"%s\" or \"%s\" belong "
						   "to other objects.",
						   MARK_SUFFIX, UNFINISHED_SUFFIX)));
	return name;
}

/*
 * The name of a hidden file of an object in its folder.
 */
char *
file_companion(const char *key, const char *suffix)
{
	return psprintf(".%s%s", last_part(key), suffix);
}

/*
 * Sync the folder of the object and all its parent folders, up to the first
 * that pgmaint does not create.
 */
void
file_sync_folders(Storage *storage, const char *key)
{
	static const char *const what = "sync the folder of";
	Handle *synced =
		open_folder_of(file_top(storage, false), key, FOLDER_SYNC);
	char *path = pstrdup(storage->options->folder);

	if (synced == NULL)
		file_failed(storage, key, what);
	(void) close_handle(synced);
	while (below_data_directory(storage) && strlen(path) > strlen(DataDir))
	{
		get_parent_directory(path);
		/* the server itself would not survive it; an archive's file is less */
		if (fsync_fname_ext(path, true, false, LOG) != 0 && errno != ENOENT)
			file_failed(storage, key, what);
	}
}
