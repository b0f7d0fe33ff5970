/*-------------------------------------------------------------------------
 *
 * archive.h
 *	  Writing the rows of a query to an object, with its manifest.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ARCHIVE_H
#define PGMAINT_ARCHIVE_H

#include "retention/columns.h"
#include "retention/policy.h"
#include "objects/uploads.h"

typedef struct ArchiveJob
{
	const RetentionPolicy *policy;
	int64 run_id;
	Oid owner;		 /* of the table that the rows are in */
	char *query;	 /* returns the rows to archive */
	char *relation;	 /* the policy's */
	char *partition; /* partition of the rows, or NULL */
	char *from;		 /* of the range, in the time column's type */
	char *to;
	ArchivedColumns columns;
	Upload upload;
} ArchiveJob;

typedef struct ArchiveResult
{
	int64 rows;
	int64 bytes;
	int64 content_bytes;
	int64 archive_id; /* 0 if there were no rows, and so no object */
} ArchiveResult;

extern void write_archive(ArchiveJob *job, ArchiveResult *result);

#endif /* PGMAINT_ARCHIVE_H */
