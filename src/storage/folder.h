/*-------------------------------------------------------------------------
 *
 * folder.h
 *	  Files below a folder that is held open.
 *
 * Every path is looked up from a descriptor, one part after the other, and no
 * symbolic link is followed: users who can write to such a folder cannot lead
 * the server to a file elsewhere.  Only regular files are opened, and no open
 * waits for the other end of a FIFO.
 *
 * Functions return NULL or false with errno set: ELOOP for a symbolic link,
 * EISDIR or ENXIO for another entry that is not a regular file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FOLDER_H
#define PGMAINT_FOLDER_H

#include <dirent.h>
#include <sys/stat.h>

#include "utils/palloc.h"

/*
 * An open folder or file.  It is closed with the memory context in which it was
 * opened, at the latest, so that no ERROR leaks a descriptor.
 */
typedef struct Handle
{
	int fd;	  /* -1 when it is closed */
	DIR *dir; /* of a folder that is being read */
	MemoryContextCallback callback;
} Handle;

/* action on each folder on the way to a file */
typedef enum FolderWalk
{
	FOLDER_LOOK,
	FOLDER_MAKE,
	FOLDER_SYNC
} FolderWalk;

/* of the top one, whose path may lead through symbolic links */
extern Handle *open_folder(const char *path);

/* the folder in which the file of this path is; the top one has no slash */
extern Handle *open_folder_of(const Handle *top, const char *path,
							  FolderWalk walk);
extern Handle *open_file_in(const Handle *folder, const char *name, int flags);
extern DIR *read_folder_of(Handle *folder);
extern bool close_handle(Handle *handle);

extern bool look_in(const Handle *folder, const char *name,
					struct stat *status);
extern bool remove_file_in(const Handle *folder, const char *name);
extern bool sync_folder(const Handle *folder);

#endif /* PGMAINT_FOLDER_H */
