/*-------------------------------------------------------------------------
 *
 * owner_verdicts.h
 *	  The verdict on the owner records of a storage, and whether an object may
 *	  be removed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNER_VERDICTS_H
#define PGMAINT_OWNER_VERDICTS_H

#include "objects/owner_records.h"

/* in a ledger scope */
extern void judge_record(const char *storage, const OwnerRecord *record,
						 int64 run_id, const List *nonces);
extern void note_unread(const char *storage, const List *records, int64 run_id,
						const char *error);

/*
 * In a transaction, outside of a ledger scope, as the role, right before the
 * removal: the reason against it, or NULL.
 */
extern char *why_not_ours(Storage *storage, const char *identity,
						  int64 run_id);

#endif /* PGMAINT_OWNER_VERDICTS_H */
