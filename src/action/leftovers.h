/*-------------------------------------------------------------------------
 *
 * leftovers.h
 *	  Leftovers of interrupted tasks in storages, and their removal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LEFTOVERS_H
#define PGMAINT_LEFTOVERS_H

#include "action/action.h"

/* in a ledger scope */
extern void note_upload_of_attempt(TaskContext *context, const char *action,
								   const char *storage, const char *key);
extern void plan_leftovers(PlanContext *context, const char *action);

/* outside of one, as the role */
extern bool is_leftover(const ClaimedTask *task);
extern bool remove_leftover(int64 upload_id);
extern void carry_out_leftover(TaskContext *context);
extern char *describe_leftover(Jsonb *result);

/* outside of any transaction, as the role, after an ERROR */
extern void remove_uploads_of_task(const TaskContext *context);

#endif /* PGMAINT_LEFTOVERS_H */
