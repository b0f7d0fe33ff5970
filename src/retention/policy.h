/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  A retention policy, and the table that it is for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_POLICY_H
#define PGMAINT_POLICY_H

#include "ledger/ledger.h"
#include "stream/compress.h"

typedef struct RetentionPolicy
{
	int64 policy_id;
	Oid relation;
	char *time_column;
	char *filter; /* NULL: every row */
	bool archive;
	char *storage; /* this and the following only if archived */
	const CompressionMethod *compression;
	int compression_level;
	char *owner;		/* of the table, when the policy was added */
	char *timezone;		/* NULL: the server's */
	bool pass_triggers; /* partitions leave although triggers do not fire */
	bool shares_table;	/* other policies are for the same table */
	char *writer; /* of archives: this database, as it stands in their keys */
} RetentionPolicy;

/* in a ledger scope */
extern bool read_policy(int64 policy_id, RetentionPolicy *policy);

/* of a table */
extern char *qualified_name(Oid relation);
extern char *hold_name(Oid relation);
extern void require_name(Oid relation, const char *name);
extern Oid table_owner(Oid relation);

/* InvalidOid where there is no such column, or of another type */
extern Oid time_column_type(Oid relation, const char *column);

extern void check_filter(const char *filter);
extern char *filter_condition(const char *filter);

#endif /* PGMAINT_POLICY_H */
