/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  Markers of the databases that wait for a leader.
 *
 * If no worker slot is free, the database has no process that could wait for
 * one, and another database cannot read its ledger.  So each database that has
 * queued runs and no leader has a marker: an empty file in a folder of the data
 * directory, named after the database and the extension.  Leaders that end start
 * a leader for the oldest.
 *
 * An unnecessary marker is harmless: the leader that it starts removes it and
 * ends.  So is a marker in a base backup.  If a crash of the system has lost a
 * marker, pgmaint.tick() starts the leader.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "engine/waiting.h"

#define WAITING_FOLDER "pgmaint_waiting"

static char *
marker_path(Oid database, Oid extension)
{
	return psprintf(WAITING_FOLDER "/%u.%u", database, extension);
}

/*
 * Create the marker of this database, unless it exists.  The file has the
 * server's own mode, because readers of the data directory may read it, too.
 */
void
mark_waiting(Oid database, Oid extension)
{
	char *path = marker_path(database, extension);
	int flags = O_WRONLY | O_CREAT | O_EXCL | PG_BINARY;
	int fd = OpenTransientFilePerm(path, flags, pg_file_create_mode);

	if (fd < 0 && errno == ENOENT)
	{
		if (MakePGDirectory(WAITING_FOLDER) != 0 && errno != EEXIST)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not create directory \"%s\": %m",
								   WAITING_FOLDER)));
		fd = OpenTransientFilePerm(path, flags, pg_file_create_mode);
	}
	if (fd >= 0)
		(void) CloseTransientFile(fd);
	else if (errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create file \"%s\": %m", path)));
	pfree(path);
}

void
unmark_waiting(Oid database, Oid extension)
{
	char *path = marker_path(database, extension);

	if (unlink(path) != 0 && errno != ENOENT)
		ereport(LOG, (errcode_for_file_access(),
					  errmsg("could not remove file \"%s\": %m", path)));
	pfree(path);
}

/*
 * A database whose leader cannot be started must not hold up the others.
 */
void
move_to_back(const WaitingDatabase *waiting)
{
	char *path = marker_path(waiting->database, waiting->extension);

	if (utimensat(AT_FDCWD, path, NULL, 0) != 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not set the time of file \"%s\": %m", path)));
	pfree(path);
}

/*
 * Is this the name of a marker?  Other files in the folder are ignored.
 */
static bool
read_marker(const char *name, WaitingDatabase *waiting)
{
	struct stat status;
	char *rest;
	char *path;
	bool ours;

	waiting->database = (Oid) strtoul(name, &rest, 10);
	if (*rest != '.')
		return false;
	waiting->extension = (Oid) strtoul(rest + 1, NULL, 10);
	/* the whole name must be as it is written here */
	path = marker_path(waiting->database, waiting->extension);
	ours = strcmp(path + strlen(WAITING_FOLDER "/"), name) == 0 &&
		   lstat(path, &status) == 0 && S_ISREG(status.st_mode);
	if (ours)
		waiting->since = status.st_mtime;
	pfree(path);
	return ours;
}

static int
compare_waiting(const ListCell *left, const ListCell *right)
{
	const WaitingDatabase *a = lfirst(left);
	const WaitingDatabase *b = lfirst(right);

	if (a->since != b->since)
		return a->since < b->since ? -1 : 1;
	return a->database < b->database ? -1 : a->database > b->database;
}

/*
 * All databases that wait, the one that has waited longest first.
 */
List *
find_waiting_databases(void)
{
	DIR *folder = AllocateDir(WAITING_FOLDER);
	struct dirent *entry;
	List *found = NIL;

	if (folder == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDirExtended(folder, WAITING_FOLDER, LOG)) != NULL)
	{
		WaitingDatabase waiting;

		if (!read_marker(entry->d_name, &waiting))
			continue;
		found = lappend(
			found, memcpy(palloc(sizeof(waiting)), &waiting, sizeof(waiting)));
	}
	if (folder != NULL)
		(void) FreeDir(folder);
	list_sort(found, compare_waiting);
	return found;
}
