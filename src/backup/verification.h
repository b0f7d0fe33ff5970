/*-------------------------------------------------------------------------
 *
 * verification.h
 *	  The state of one verify_backup task.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_VERIFICATION_H
#define PGMAINT_VERIFICATION_H

#include "action/action.h"
#include "backup/compare.h"
#include "backup/prepare.h"
#include "backup/proof.h"
#include "backup/restore.h"
#include "backup/scratch.h"
#include "backup/verifications.h"

typedef struct Verification
{
	TaskContext *context;
	int64 backup_id; /* 0: the ledger does not know it */
	char *storage;
	char *key;
	BackupDescription *description;
	bool in_server;	  /* one of its own */
	Proof *proof;	  /* in_server */
	Scratch *scratch; /* otherwise */
	Preparation preparation;
	RestoreJob restore;
	Comparison comparison;
	Questioning questioning;
	char *refusal;	/* why it is not restorable */
	char *settings; /* under which it was restored, in words */
} Verification;

/*
 * Outside of any transaction: records the result in the ledger, beside the
 * backup, and as the result and findings of the task.
 */
extern void record_outcome(Verification *verification);

#endif /* PGMAINT_VERIFICATION_H */
