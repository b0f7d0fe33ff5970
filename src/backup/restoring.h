/*-------------------------------------------------------------------------
 *
 * restoring.h
 *	  Functions that restore_backup and verify_backup share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORING_H
#define PGMAINT_RESTORING_H

#include "action/action.h"
#include "backup/entries.h"
#include "backup/restorable.h"

/* in a transaction, as the role: raises an ERROR that names what it lacks */
extern void require_rights_to_restore(const char *purpose,
									  bool create_databases,
									  bool create_roles);

/* settings of the sessions that restore, for PGOPTIONS */
extern char *restoring_settings(Jsonb *given,
								const BackupDescription *description);

/* NULL, or why there is not enough room */
extern char *lack_of_room_to_restore(const BackupDescription *description,
									 int64 min_free);

/*
 * raises an ERROR where the manifest describes another object than the ledger
 */
extern void match_with_ledger(const BackupDescription *description,
							  int64 backup_id);

extern void add_task_finding(TaskContext *context, const char *severity,
							 const char *object, char *message);

/* a finding where another database made the backup; in a transaction */
extern void tell_maker(TaskContext *context, const char *key, int64 backup_id,
					   const BackupDescription *description);
/*
 * findings for passwords that are in the dump in plain text, or were left out
 */
extern void tell_secrets(TaskContext *context, const char *key,
						 const BackupDescription *description);

/* a description of what was left out; NULL: nothing was */
extern char *describe_left_out(const EntryChoice *choice);
extern bool left_out_any(const EntryChoice *choice, const char *kind);

/* the outcome of a restore, from the result of the task */
extern char *describe_restoration(const ClaimedTask *task, Jsonb *result);

/* a transaction that keeps the memory context of the task */
extern void begin_restoring(void);
extern void end_restoring(void);

/* drops the scratch databases of a task; outside of any transaction */
extern void drop_scratches_of_task(const TaskContext *context);

#endif /* PGMAINT_RESTORING_H */
