/*-------------------------------------------------------------------------
 *
 * actions.h
 *	  The table of all actions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ACTIONS_H
#define PGMAINT_ACTIONS_H

#include "action/action.h"

/*
 * One line for each action, in the order in which pgmaint.actions() lists
 * them.  ACTION(name) stands for name_action, which its file defines by
 * DEFINE_ACTION.
 */
/* clang-format off */
#define LIST_OF_ACTIONS(ACTION) \
	ACTION(bloat_report) \
	ACTION(vacuum) \
	ACTION(compact) \
	ACTION(vacuum_full) \
	ACTION(analyze) \
	ACTION(retention) \
	ACTION(reindex) \
	ACTION(check_corruption) \
	ACTION(backup) \
	ACTION(verify_backup) \
	ACTION(restore_backup) \
	ACTION(expire_backups) \
	ACTION(validate) \
	ACTION(connection_review) \
	ACTION(review_queries) \
	ACTION(index_advice) \
	ACTION(index_usage) \
	ACTION(escalate)
/* clang-format on */

#define DECLARE_ACTION(name) extern const Action name##_action;
LIST_OF_ACTIONS(DECLARE_ACTION)
#undef DECLARE_ACTION

extern const Action *find_action(const char *name);
extern const Action *action_by_number(int number);
extern char *list_actions(void);

#endif /* PGMAINT_ACTIONS_H */
