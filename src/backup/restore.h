/*-------------------------------------------------------------------------
 *
 * restore.h
 *	  Restoring an object of a storage into a database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORE_H
#define PGMAINT_RESTORE_H

#include "backup/restorable.h"
#include "backup/entries.h"
#include "exec/programs.h"

typedef struct RestoreJob
{
	/* given */
	Storage *storage;
	const BackupDescription *description;
	const Login *login;
	const char *database; /* of this server; NULL: it is another one's */
	const char *settings; /* as for PGOPTIONS */
	List *arguments;	  /* for pg_restore, beside those for every restore */
	EntryChoice *choice;
	/* found */
	int64 milliseconds; /* of pg_restore */
} RestoreJob;

/*
 * In a transaction, which needs no snapshot.  Returns NULL after a successful
 * restore, otherwise why the backup is not restorable.  Errors that are not
 * the fault of the backup are raised.
 */
extern char *restore_object(RestoreJob *job);

/* the same without a database: compares the object with its manifest */
extern char *check_object(Storage *storage,
						  const BackupDescription *description);

#endif /* PGMAINT_RESTORE_H */
