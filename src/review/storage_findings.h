/*-------------------------------------------------------------------------
 *
 * storage_findings.h
 *	  The findings of the comparison of a storage with the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORAGE_FINDINGS_H
#define PGMAINT_STORAGE_FINDINGS_H

#include "objects/comparison.h"
#include "objects/unknown.h"
#include "review/archive_review.h"

typedef struct StorageReview
{
	TaskContext *context;
	const char *storage;
	bool is_open; /* the role may use it */
	StorageListing *listing;
	StorageComparison comparison;
	UnknownObjects unknown;
	ArchiveReview archives;
} StorageReview;

/* the first objects of each kind, as JSON for the ledger and for findings */
extern char *describe_comparison(const StorageReview *review);
extern void report_comparison(const StorageReview *review, char *detail);

#endif /* PGMAINT_STORAGE_FINDINGS_H */
