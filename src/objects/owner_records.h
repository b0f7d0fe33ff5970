/*-------------------------------------------------------------------------
 *
 * owner_records.h
 *	  The owner records of a run, and what is made of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNER_RECORDS_H
#define PGMAINT_OWNER_RECORDS_H

#include "nodes/pg_list.h"

#include "storage/storage.h"

/* one identity, on one storage, in one run */
typedef struct OwnerRecord
{
	char *identity;
	char *state; /* of the identity */
	char *nonce; /* NULL: another's records are only watched */
	bool judged; /* by another worker of the run, or an earlier task */
	bool written;
} OwnerRecord;

/* nonces, char * */
extern List *list_records(Storage *storage, const char *identity);

/* in a ledger scope */
extern void judge_record(const char *storage, const OwnerRecord *record,
						 int64 run_id, const List *nonces);
extern void note_unread(const char *storage, const List *records, int64 run_id,
						const char *error);

#endif /* PGMAINT_OWNER_RECORDS_H */
