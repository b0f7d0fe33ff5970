/*-------------------------------------------------------------------------
 *
 * stored.h
 *	  What a storage by itself tells of the backups on it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORED_H
#define PGMAINT_STORED_H

#include "nodes/pg_list.h"

#include "backup/description.h"

/* newest first; outside of a ledger scope */
extern List *list_stored_backups(Storage *storage);

/* did this database make it, or one that it has taken over? */
extern bool is_own_backup(const char *storage, const StoredBackup *backup);

/*
 * Of the whole database, made by this database or by another; NULL where there
 * is none.
 */
extern StoredBackup *find_newest_backup(Storage *storage, const char *database,
										bool own);

#endif /* PGMAINT_STORED_H */
