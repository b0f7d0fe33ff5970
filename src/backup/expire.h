/*-------------------------------------------------------------------------
 *
 * expire.h
 *	  Removing a backup from its storage.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_EXPIRE_H
#define PGMAINT_EXPIRE_H

#include "ledger/ledger.h"
#include "storage/storage.h"

typedef struct ExpiringBackup
{
	int64 backup_id;
	char *storage;
	char *key;
	char *sha256;
	char *state;
	char *identity; /* of the database that made it */
	char *mark; /* NULL before it is recorded, or where there are no objects */
} ExpiringBackup;

/* in a ledger scope */
extern bool read_expiring_backup(int64 backup_id, ExpiringBackup *backup);
extern void note_expiring_backup(const ExpiringBackup *backup);
extern void note_expired_backup(const ExpiringBackup *backup);

/* outside of a ledger scope, with the rights of the current role */
extern char *why_not_to_remove(Storage *storage, ExpiringBackup *backup);
extern int64 remove_backup(Storage *storage, const ExpiringBackup *backup);

#endif /* PGMAINT_EXPIRE_H */
