/*-------------------------------------------------------------------------
 *
 * restore.h
 *	  From an object on a storage into a database.
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
 * In a transaction, which needs no snapshot.  NULL: it was restored; otherwise
 * why this backup cannot be.  What says nothing about the backup raises an ERROR.
 */
extern char *restore_object(RestoreJob *job);

/* the same without a database: is the object what was written? */
extern char *check_object(Storage *storage,
						  const BackupDescription *description);

#endif /* PGMAINT_RESTORE_H */
