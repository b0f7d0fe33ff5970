/*-------------------------------------------------------------------------
 *
 * folder.c
 *	  Files below a folder that is held open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "storage/fd.h"

#include "storage/folder.h"

/*
 * Passing through a folder requires fewer rights than reading it: the folder
 * of a storage may be write-only.
 */
#ifdef O_PATH
#define PASS_THROUGH (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define PASS_THROUGH (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/*
 * The server counts descriptors that it has not opened itself, to stay below
 * the limit of the system.  Its OpenTransientFile() cannot open a path
 * relative to a folder.
 */
bool
close_handle(Handle *handle)
{
	int result;

	if (handle->fd < 0)
		return true;
	result = handle->dir != NULL ? closedir(handle->dir) : close(handle->fd);
	handle->dir = NULL;
	handle->fd = -1;
	ReleaseExternalFD();
	return result == 0;
}

static void
close_with_context(void *argument)
{
	(void) close_handle(argument);
}

/*
 * A handle with a reservation for a descriptor but no descriptor yet: code
 * that can raise an ERROR runs before the system is asked for one.
 */
static Handle *
reserve_handle(void)
{
	Handle *handle = palloc0(sizeof(Handle));

	handle->fd = -1;
	handle->callback.func = close_with_context;
	handle->callback.arg = handle;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &handle->callback);
	return AcquireExternalFD() ? handle : NULL;
}

/*
 * Give the handle its descriptor, or release its reservation.
 */
static Handle *
fill_handle(Handle *handle, int fd)
{
	if (fd < 0)
	{
		int error = errno;

		ReleaseExternalFD();
		errno = error;
		return NULL;
	}
	handle->fd = fd;
	return handle;
}

Handle *
open_folder(const char *path)
{
	Handle *handle = reserve_handle();

	if (handle == NULL)
		return NULL;
	return fill_handle(handle, open(path, PASS_THROUGH));
}

/*
 * Systems return different errors for a symbolic link in place of a folder;
 * ENOTDIR would read as if the object did not exist.
 */
static int
open_part(int folder, const char *name)
{
	int fd = openat(folder, name, PASS_THROUGH | O_NOFOLLOW);
	struct stat status;

	if (fd < 0 && errno == ENOTDIR)
	{
		if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			errno = S_ISLNK(status.st_mode) ? ELOOP : ENOTDIR;
	}
	return fd;
}

static int
open_to_read(int folder)
{
	return openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Some file systems cannot sync a folder, and need not.  A folder that may not
 * be read cannot be synced, which the server ignores too.
 */
static bool
sync_descriptor(int folder)
{
	int fd = open_to_read(folder);
	bool done;
	int error;

	if (fd < 0)
		return errno == EACCES;
	done = pg_fsync(fd) == 0 || errno == EBADF || errno == EINVAL;
	error = errno;
	close(fd);
	errno = error;
	return done;
}

bool
sync_folder(const Handle *folder)
{
	return sync_descriptor(folder->fd);
}

static int
close_and_fail(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

/*
 * Open the next folder of the path and close its parent.
 */
static int
open_next_folder(int folder, const char *name, FolderWalk walk)
{
	int next = -1;

	if (walk != FOLDER_MAKE ||
		mkdirat(folder, name, (mode_t) pg_dir_create_mode) == 0 ||
		errno == EEXIST)
		next = open_part(folder, name);
	if (next >= 0 && walk == FOLDER_SYNC && !sync_descriptor(next))
		next = close_and_fail(next);
	if (next < 0)
		return close_and_fail(folder);
	close(folder);
	return next;
}

Handle *
open_folder_of(const Handle *top, const char *path, FolderWalk walk)
{
	char *parts = pstrdup(path);
	char *name = parts;
	Handle *handle = reserve_handle();
	char *slash;
	int fd;

	if (handle == NULL)
		return NULL;
	fd = openat(top->fd, ".", PASS_THROUGH);
	if (fd >= 0 && walk == FOLDER_SYNC && !sync_descriptor(fd))
		fd = close_and_fail(fd);
	while (fd >= 0 && (slash = strchr(name, '/')) != NULL)
	{
		*slash = '\0';
		fd = open_next_folder(fd, name, walk);
		name = slash + 1;
	}
	return fill_handle(handle, fd);
}

/*
 * The errno for an entry that is not a regular file.
 */
static int
wrong_kind(const struct stat *status)
{
	if (S_ISLNK(status->st_mode))
		return ELOOP;
	return S_ISDIR(status->st_mode) ? EISDIR : ENXIO;
}

/*
 * Open a regular file, or create it with O_CREAT.
 */
Handle *
open_file_in(const Handle *folder, const char *name, int flags)
{
	Handle *handle = reserve_handle();
	struct stat status;
	int error;

	if (handle == NULL ||
		fill_handle(handle, openat(folder->fd, name,
								   flags | O_NOFOLLOW | O_NONBLOCK |
									   O_CLOEXEC | PG_BINARY,
								   (mode_t) pg_file_create_mode)) == NULL)
		return NULL;
	if (fstat(handle->fd, &status) != 0)
		error = errno;
	else if (S_ISREG(status.st_mode))
		return handle;
	else
		error = wrong_kind(&status);
	(void) close_handle(handle);
	errno = error;
	return NULL;
}

DIR *
read_folder_of(Handle *folder)
{
	int fd = open_to_read(folder->fd);

	if (fd < 0)
		return NULL;
	close(folder->fd);
	folder->fd = fd;
	folder->dir = fdopendir(fd);
	return folder->dir;
}

bool
look_in(const Handle *folder, const char *name, struct stat *status)
{
	return fstatat(folder->fd, name, status, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * Remove a regular file; any other entry does not belong to pgmaint and stays.
 */
bool
remove_file_in(const Handle *folder, const char *name)
{
	struct stat status;

	if (!look_in(folder, name, &status))
		return false;
	if (!S_ISREG(status.st_mode))
	{
		errno = wrong_kind(&status);
		return false;
	}
	return unlinkat(folder->fd, name, 0) == 0;
}
