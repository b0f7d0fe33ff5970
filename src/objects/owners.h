/*-------------------------------------------------------------------------
 *
 * owners.h
 *	  Who writes to a storage: the owner records on it.
 *
 * The room objects: what the ledger knows of objects in storages, whose
 * they are, which are missing or unknown, and what may be removed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_OWNERS_H
#define PGMAINT_OWNERS_H

/* outside of any transaction, as the role, before the run touches the storage */
extern void declare_ownership(const char *storage, int64 run_id,
							  Oid extension);

#endif /* PGMAINT_OWNERS_H */
