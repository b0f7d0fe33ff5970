/*-------------------------------------------------------------------------
 *
 * slices.h
 *	  How the old rows of a table are cut into pieces by time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SLICES_H
#define PGMAINT_SLICES_H

#include "retention/policy.h"

/* times are texts of the time column's type */
typedef struct Slice
{
	const char *from;
	char *to;
	bool open;	 /* from is -infinity */
	char *name;	 /* of the range, in a key */
	int64 rows;	 /* by estimate */
	int64 bytes; /* of the table, by estimate */
} Slice;

/* all in a ledger scope */
extern List *cut_into_slices(const RetentionPolicy *policy, Oid relation,
							 const char *cutoff, int64 slice_bytes,
							 bool *more);
extern bool table_has_rows(Oid relation);
extern int64 rows_without_time(const RetentionPolicy *policy, Oid relation);

extern char *slice_condition(const RetentionPolicy *policy, Oid relation,
							 const char *from, const char *to);
extern char *describe_slice(const RetentionPolicy *policy, const char *from,
							const char *to);
extern const char *time_type_name(Oid type);
extern char *range_name(Oid type, const char *from, const char *to);

#endif /* PGMAINT_SLICES_H */
