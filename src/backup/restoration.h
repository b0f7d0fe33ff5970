/*-------------------------------------------------------------------------
 *
 * restoration.h
 *	  The state of one restore_backup task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORATION_H
#define PGMAINT_RESTORATION_H

#include "action/action.h"
#include "backup/compare.h"
#include "backup/restore.h"
#include "backup/scratch.h"

typedef struct Restoration
{
	TaskContext *context;
	int64 backup_id; /* 0: the ledger does not know it */
	char *storage;
	char *key;
	char *name;		  /* what the database is to be called */
	char *old_name;	  /* new name of the database that is replaced, or NULL */
	char *spare_name; /* its name if it cannot replace the database */
	BackupDescription *description;
	Scratch *scratch;
	EntryChoice choice;
	RestoreJob restore;
	Comparison comparison;
	bool no_owner;
	bool create_roles;
	char *refusal; /* why it could not be restored */
} Restoration;

/*
 * Outside of any transaction: checks before anything is created; raises an
 * ERROR for obstacles.  False when the task has ended.
 */
extern bool look_ahead_of_restoration(Restoration *restoration);

#endif /* PGMAINT_RESTORATION_H */
