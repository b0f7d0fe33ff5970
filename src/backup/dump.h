/*-------------------------------------------------------------------------
 *
 * dump.h
 *	  Making a backup: pg_dump, or pg_dumpall, into an object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_DUMP_H
#define PGMAINT_DUMP_H

#include "backup/records.h"
#include "objects/uploads.h"

typedef struct DumpJob
{
	BackupRecord *record; /* its figures are filled in */
	Upload upload;
	List *arguments; /* of the program, beside those that every backup has */
	bool exclude_secrets; /* passwords in definitions */
	int compression_level;
	int lock_wait; /* milliseconds */
	int64
		expected_bytes; /* of the dump, by what is known before; 0: nothing */
} DumpJob;

/*
 * In a transaction without a snapshot, as the role; nothing counts before the
 * caller commits.
 */
extern void back_up(DumpJob *job);

#endif /* PGMAINT_DUMP_H */
