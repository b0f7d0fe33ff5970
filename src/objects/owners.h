/*-------------------------------------------------------------------------
 *
 * owners.h
 *	  Who writes to a storage: the owner records on it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNERS_H
#define PGMAINT_OWNERS_H

#include "storage/storage.h"

/* keys of owner records begin so */
#define OWNER_RECORDS ".pgmaint/owners/"

/* outside of any transaction, as the role, before the run touches the storage */
extern void declare_ownership(const char *storage, int64 run_id,
							  Oid extension);

/*
 * In a transaction, outside of a ledger scope, as the role, right before the
 * removal: why it must not be, or NULL.
 */
extern char *why_not_ours(Storage *storage, const char *identity,
						  int64 run_id);

#endif /* PGMAINT_OWNERS_H */
