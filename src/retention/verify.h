/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Compares the object of an archive with the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_VERIFY_H
#define PGMAINT_RETENTION_VERIFY_H

#include "retention/reading.h"

/* what was read from the storage */
typedef struct ArchiveContent
{
	int64 bytes;
	const char *sha256;
	int64 content_bytes;
	const char *content_sha256;
	int64 rows;
} ArchiveContent;

/* results of reading an archive, in pgmaint.archives.check_result */
#define ARCHIVE_WHOLE "whole"
#define ARCHIVE_DAMAGED "damaged"
#define ARCHIVE_UNREADABLE "not readable"

/* outside of a ledger scope, with the rights of the current role */
extern void read_content(const Archive *archive, ArchiveContent *content);
/* how the object differs from the ledger, or NULL */
extern char *describe_damage(const Archive *archive,
							 const ArchiveContent *content);

/* in a ledger scope; returns whether the result is another than before */
extern bool note_archive_check(int64 archive_id, const char *result,
							   const char *error);

#endif /* PGMAINT_RETENTION_VERIFY_H */
