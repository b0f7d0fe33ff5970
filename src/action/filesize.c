/*-------------------------------------------------------------------------
 *
 * filesize.c
 *	  Sizes of the files of many relations, without opening the relations.
 *
 * pg_relation_size() locks each relation and builds its relcache entry, which
 * for thousands of tables takes longer than the rest of planning, and keeps the
 * memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_tablespace_d.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "base/compat.h"

PG_FUNCTION_INFO_V1(pgmaint_file_size);

/*
 * pgmaint_internal.file_size(filenode oid, tablespace oid, pages integer)
 * returns bigint
 *
 * The bytes in the main fork of a relation that is not temporary, from its row
 * in pg_class.  If pg_class does not name the file, because the relation is
 * mapped, or names a file that was just replaced, the number of pages in
 * pg_class has to do: a call of pg_relation_size() would wait for a lock.
 */
Datum
pgmaint_file_size(PG_FUNCTION_ARGS)
{
	Oid filenode = PG_GETARG_OID(0);
	Oid tablespace = PG_GETARG_OID(1);
	int64 estimate = (int64) PG_GETARG_INT32(2) * BLCKSZ;
	int64 bytes = 0;
	char *path;

	if (!OidIsValid(filenode))
		PG_RETURN_INT64(estimate);
	if (!OidIsValid(tablespace))
		tablespace = MyDatabaseTableSpace;
	path = main_fork_path(tablespace == GLOBALTABLESPACE_OID ? InvalidOid
															 : MyDatabaseId,
						  tablespace, filenode);
	for (int segment = 0;; segment++)
	{
		struct stat state;

		CHECK_FOR_INTERRUPTS();
		if (stat(segment == 0 ? path : psprintf("%s.%d", path, segment),
				 &state) < 0)
		{
			if (errno != ENOENT)
				ereport(ERROR,
						(errcode_for_file_access(),
						 errmsg("could not stat file \"%s\": %m", path)));
			if (segment == 0)
				PG_RETURN_INT64(estimate);
			break;
		}
		bytes += state.st_size;
		/* a segment that is not full is the last */
		if (state.st_size < (off_t) RELSEG_SIZE * BLCKSZ)
			break;
	}
	PG_RETURN_INT64(bytes);
}
