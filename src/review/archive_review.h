/*-------------------------------------------------------------------------
 *
 * archive_review.h
 *	  Reads archives in turn, to detect damage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ARCHIVE_REVIEW_H
#define PGMAINT_ARCHIVE_REVIEW_H

#include "action/action.h"
#include "objects/listing.h"

typedef struct ArchiveReview
{
	const char *storage;
	TimestampTz due_at; /* up to when the budget goes */
	List *due;			/* of int64 *: archives to be read */
	int64 read;
	int64 bytes;
} ArchiveReview;

/* in a transaction, outside of a ledger scope, as the role */
extern void choose_archives(ArchiveReview *review, StorageListing *listing,
							int64 check_days);

/* outside of any transaction, as the role */
extern void review_archives(TaskContext *context, ArchiveReview *review);

#endif /* PGMAINT_ARCHIVE_REVIEW_H */
