/*-------------------------------------------------------------------------
 *
 * diskspace.c
 *	  How much room there is on the disk of a tablespace.
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
 * Where a tablespace is, as seen from the data directory.
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
					errmsg("could not ask for the free space of \"%s\": %m",
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
 * What the server may still write there: the file system may keep a part of
 * what is free for root.
 */
int64
free_bytes_of_folder(const char *folder)
{
	struct statvfs state = ask_file_system(folder);

	return (int64) state.f_bavail * (int64) state.f_frsize;
}

/*
 * The same of a folder that is open, whatever its name leads to by now.
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
 * Are two tablespaces on one file system, so that what is written to one is
 * missing in the other?
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
 * What is used of its file system, by whomever: at least what is in it, which
 * takes as many calls to find out as there are files.
 */
Datum
pgmaint_used_bytes_of_tablespace(PG_FUNCTION_ARGS)
{
	struct statvfs state =
		ask_file_system(tablespace_folder(PG_GETARG_OID(0)));

	PG_RETURN_INT64((int64) (state.f_blocks - state.f_bfree) *
					(int64) state.f_frsize);
}
