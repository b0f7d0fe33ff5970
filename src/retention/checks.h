/*-------------------------------------------------------------------------
 *
 * checks.h
 *	  Checks of add_retention beside those that every run makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CHECKS_H
#define PGMAINT_CHECKS_H

#include "datatype/timestamp.h"

#include "retention/policy.h"

extern void check_keep(const Interval *keep);
extern void check_slice(const Interval *slice);

/* in a ledger scope */
extern void check_time_column(Oid relation, const char *column);
extern void check_slice_of_dates(const RetentionPolicy *policy,
								 const Interval *slice);
extern void check_condition(const RetentionPolicy *policy, Oid owner);
extern void refuse_no_storage(void);
extern void warn_without_index(Oid relation, const char *column);

#endif /* PGMAINT_CHECKS_H */
