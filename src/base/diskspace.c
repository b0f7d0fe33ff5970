/*-------------------------------------------------------------------------
 *
 * diskspace.c
 *	  Free space on the disk of a tablespace.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "catalog/pg_tablespace_d.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "base/diskspace.h"

PG_FUNCTION_INFO_V1(pgmaint_free_bytes_of_tablespace);
PG_FUNCTION_INFO_V1(pgmaint_used_bytes_of_tablespace);

/*
 * The folder of a tablespace, relative to the data directory.
 */
static char *
tablespace_folder(Oid tablespace)
{
	if (!OidIsValid(tablespace))
		tablespace = MyDatabaseTableSpace;
	if (tablespace == DEFAULTTABLESPACE_OID)
		return pstrdup("base");
	if (tablespace == GLOBALTABLESPACE_OID)
		return pstrdup("global");
	return psprintf("pg_tblspc/%u", tablespace);
}

static void
could_not_ask(const char *folder)
{
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not determine the free space of \"%s\": %m",
						   folder)));
}

static struct statvfs
ask_file_system(const char *folder)
{
	struct statvfs state;

	if (statvfs(folder, &state) < 0)
		could_not_ask(folder);
	return state;
}

/*
 * The bytes that the server may still write: the file system may reserve a
 * part of the free space for root.
 */
int64
free_bytes_of_folder(const char *folder)
{
	struct statvfs state = ask_file_system(folder);

	return (int64) state.f_bavail * (int64) state.f_frsize;
}

/*
 * The same for an open folder, which may have been renamed since.
 */
int64
free_bytes_of_descriptor(int fd, const char *folder)
{
	struct statvfs state;

	if (fstatvfs(fd, &state) < 0)
		could_not_ask(folder);
	return (int64) state.f_bavail * (int64) state.f_frsize;
}

int64
free_bytes_of_tablespace(Oid tablespace)
{
	return free_bytes_of_folder(tablespace_folder(tablespace));
}

/*
 * Are two tablespaces on one file system, and share its free space?
 */
bool
tablespaces_share_disk(Oid one, Oid other)
{
	char *folders[] = {tablespace_folder(one), tablespace_folder(other)};
	struct stat states[lengthof(folders)];

	for (int i = 0; i < (int) lengthof(folders); i++)
	{
		if (stat(folders[i], &states[i]) < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not stat file \"%s\": %m", folders[i])));
	}
	return states[0].st_dev == states[1].st_dev;
}

/*
 * pgmaint_internal.free_bytes_of_tablespace(tablespace oid) returns bigint
 */
Datum
pgmaint_free_bytes_of_tablespace(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(free_bytes_of_tablespace(PG_GETARG_OID(0)));
}

/*
 * pgmaint_internal.used_bytes_of_tablespace(tablespace oid) returns bigint
 *
 * The used bytes of its file system, an upper bound for the size of the
 * tablespace.  The size itself would take a system call for each file.
 */
Datum
pgmaint_used_bytes_of_tablespace(PG_FUNCTION_ARGS)
{
	struct statvfs state =
		ask_file_system(tablespace_folder(PG_GETARG_OID(0)));

	PG_RETURN_INT64((int64) (state.f_blocks - state.f_bfree) *
					(int64) state.f_frsize);
}
