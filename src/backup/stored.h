/*-------------------------------------------------------------------------
 *
 * stored.h
 *	  Reading the backups in a storage without the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_STORED_H
#define PGMAINT_STORED_H

#include "nodes/pg_list.h"

#include "backup/description.h"

/* newest first; outside of a ledger scope */
extern List *list_stored_backups(Storage *storage);

/* did this database, or one that it has taken over, make the backup? */
extern bool is_own_backup(const char *storage, const StoredBackup *backup);

/*
 * The newest backup of the whole database that was made by this database, or
 * by another; NULL where there is none.
 */
extern StoredBackup *find_newest_backup(Storage *storage, const char *database,
										bool own);

#endif /* PGMAINT_STORED_H */
