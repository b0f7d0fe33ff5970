/*-------------------------------------------------------------------------
 *
 * scratch.h
 *	  The database that a backup is restored into, until it is complete.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SCRATCH_H
#define PGMAINT_SCRATCH_H

#include "backup/restorable.h"

typedef struct Scratch
{
	char *database;
	char *role;		/* made for it alone; NULL: it is the caller's */
	char *owner;	/* of the database: the caller */
	char *password; /* of the role, in the process that has made it */
} Scratch;

/*
 * In a ledger scope; committed before anything is created. alone: with a role
 * that has rights only in this database.
 */
extern Scratch *note_scratch(int64 task_id, Oid caller, bool alone);
extern List *scratches_of_task(int64 task_id);
extern List *scratches_left(void);
extern void forget_scratch(const char *database);

/* encoding and locale, as CREATE DATABASE wants them */
extern char *locale_clause(const BackupDescription *description);

/* outside of any transaction, as the caller */
extern void create_scratch(Scratch *scratch,
						   const BackupDescription *description);

/* the same: removes settings that the role may have given itself */
extern void reset_scratch_role(const Scratch *scratch);

/*
 * Outside of any transaction, as the caller or as a superuser; false where the
 * database has another owner than recorded, and was not dropped.
 */
extern bool drop_scratch(const Scratch *scratch, Oid extension);

/* drops the databases of tasks that have ended; an ERROR becomes a warning */
extern void drop_scratches_left(Oid extension);

#endif /* PGMAINT_SCRATCH_H */
