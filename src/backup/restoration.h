/*-------------------------------------------------------------------------
 *
 * restoration.h
 *	  One backup, while it is restored.
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
	char *old_name;	  /* of the one whose place it takes, or NULL */
	char *spare_name; /* what it is called if it cannot */
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
 * Outside of any transaction; raises an ERROR for what is in the way.  False
 * when the task has ended here.
 */
extern bool look_ahead_of_restoration(Restoration *restoration);

#endif /* PGMAINT_RESTORATION_H */
