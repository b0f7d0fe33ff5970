/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Is the object of an archive what was written?
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RETENTION_VERIFY_H
#define PGMAINT_RETENTION_VERIFY_H

#include "retention/reading.h"

/* what is stored */
typedef struct ArchiveContent
{
	int64 bytes;
	const char *sha256;
	int64 content_bytes;
	const char *content_sha256;
	int64 rows;
} ArchiveContent;

/* what came of reading an archive, as pgmaint.archives has it */
#define ARCHIVE_WHOLE "whole"
#define ARCHIVE_DAMAGED "damaged"
#define ARCHIVE_UNREADABLE "not readable"

/* outside of a ledger scope, with the rights of the current role */
extern void read_content(const Archive *archive, ArchiveContent *content);
/* how it differs from what was written, or NULL */
extern char *describe_damage(const Archive *archive,
							 const ArchiveContent *content);

/* in a ledger scope; returns whether the result is another than before */
extern bool note_archive_check(int64 archive_id, const char *result,
							   const char *error);

#endif /* PGMAINT_RETENTION_VERIFY_H */
