/*-------------------------------------------------------------------------
 *
 * restoring.h
 *	  What the actions that restore backups have in common.
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

/* NULL, or what is wanting */
extern char *lack_of_room_to_restore(const BackupDescription *description,
									 int64 min_free);

/* raises an ERROR where the manifest is of another object than the ledger's */
extern void match_with_ledger(const BackupDescription *description,
							  int64 backup_id);

extern void add_task_finding(TaskContext *context, const char *severity,
							 const char *object, char *message);

/* a finding where another database made the backup; in a transaction */
extern void tell_maker(TaskContext *context, const char *key, int64 backup_id,
					   const BackupDescription *description);
/* passwords that are in the dump in the clear, or were left out of it */
extern void tell_secrets(TaskContext *context, const char *key,
						 const BackupDescription *description);

/* what was left out, for a person; NULL: nothing was */
extern char *describe_left_out(const EntryChoice *choice);
extern bool left_out_any(const EntryChoice *choice, const char *kind);

/* what came of restoring a backup, from the result of the task */
extern char *describe_restoration(const ClaimedTask *task, Jsonb *result);

/* a transaction in which memory is the task's */
extern void begin_restoring(void);
extern void end_restoring(void);

/* drops what a task has noted; outside of any transaction */
extern void drop_scratches_of_task(const TaskContext *context);

#endif /* PGMAINT_RESTORING_H */
