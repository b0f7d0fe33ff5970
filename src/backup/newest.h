/*-------------------------------------------------------------------------
 *
 * newest.h
 *	  The newest backup of a database, by what a storage itself says.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NEWEST_H
#define PGMAINT_NEWEST_H

#include "storage/storage.h"

/* the key, or NULL; of whole databases only; outside of a ledger scope */
extern char *find_newest_backup(Storage *storage, const char *database);

#endif /* PGMAINT_NEWEST_H */
