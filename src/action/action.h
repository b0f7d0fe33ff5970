/*-------------------------------------------------------------------------
 *
 * action.h
 *	  What an action is: the framework that all of them share.
 *
 * The room action: the framework of all actions: what one is, its options,
 * which tables it is about, leftovers, headroom, blockers.
 *
 * An action plans tasks and carries them out.  Most tasks are a command that
 * runs at top level; an action whose work is done in C brings an execute
 * function instead.  The table of actions is in engine/actions.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ACTION_H
#define PGMAINT_ACTION_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "storage/lockdefs.h"

#include "action/options.h"
#include "action/tablestate.h"
#include "ledger/tasks.h"

typedef struct Action Action;

/* what an action knows when it plans, and what it hands back */
typedef struct PlanContext
{
	Oid role;					/* whose rights the tasks will have */
	Jsonb *options;				/* checked, or NULL */
	int64 run_id;				/* 0 in a dry run */
	const char *plan;			/* its name */
	Oid extension;				/* InvalidOid in a dry run */
	TimestampTz surveyed_since; /* 0: there was no survey */
	List *tasks;				/* of PlannedTask */
	List *findings;				/* of PlannedFinding */
	List *failures;				/* texts: what could not be planned */
	List *analyzed; /* OIDs whose statistics an earlier step renews */
} PlanContext;

/* what a person should know although no task came of it */
typedef struct PlannedFinding
{
	const char *check_id;
	const char *severity;
	char *object;
	char *message;
	char *detail;
} PlannedFinding;

/* what an action knows when it carries out a task */
typedef struct TaskContext
{
	int64 run_id;
	Oid extension;
	int lock_timeout; /* in milliseconds */
	int lock_retries;
	int max_wait; /* milliseconds */
	const Action *action;
	Jsonb *options;
	const ClaimedTask *task;
	char *window;			 /* in which the task may run; NULL: at any time */
	int64 window_left;		 /* milliseconds, when the task was considered */
	TimestampTz window_ends; /* by the server's clock */
	TableState before;
	int64 returned_bytes; /* for record: how much smaller the object became */
	char *result;		  /* JSON object for the ledger */
	const char *shown_as; /* NULL: as the action says */
	char *not_done;		  /* why a command that ended well did nothing */
	char *failure; /* why the task failed although its command ended well */
	int failure_state; /* SQLSTATE of that */
	char *gave_up;	   /* what an error that ended the task comes from */
	bool tried_enough; /* by execute: a lock was tried for often enough */
	LOCKMODE awaited;  /* of a lock that did not come; NoLock: the usual one */
	int64 first_upload; /* that this attempt noted; 0: none */
	char *error;		/* for clean_up: the error that ended the attempt */
	int retries; /* by clean_up: try again, if that was not done so often */
	int64 retry_delay; /* milliseconds before the first of these, then more */
	Oid successor;	   /* what has taken the place of the task's object */
	List *findings;	   /* of PlannedFinding */
} TaskContext;

/* why a task that could be begun should not be */
typedef enum HoldBack
{
	HOLD_BACK_NOTHING,
	HOLD_BACK_RETRY, /* the cause may go away soon */
	HOLD_BACK_SKIP,
	HOLD_BACK_LEAVE /* the action itself has a finding for all such tasks */
} HoldBack;

/* how a report shows a task that succeeded; NULL: by itself */
#define SHOWN_WITH_STEP "step" /* its outcome is that of the step */
#define SHOWN_AS_COUNT "count" /* with others of the same action */

struct Action
{
	const char *name;
	const char *description;
	const ActionOption *options;
	/*
	 * Tasks can be done again, and nothing rests on their having been done: so
	 * a crash may lose the last of their states.
	 */
	bool repeatable;
	/* tasks write to the storage in their evidence, or remove from it */
	bool uses_storage;
	const char *shown_as; /* unless the task says otherwise */
	/* outside of any transaction, before plan, as the leader; may be NULL */
	void (*survey)(PlanContext *context);
	/* inside a ledger scope; must only read */
	void (*plan)(PlanContext *context);
	/* in a transaction of its own, as the role; may be NULL */
	HoldBack (*consider)(TaskContext *context, char **reason);
	/* outside of any transaction, as the role, before execute; may be NULL */
	void (*outside)(TaskContext *context);
	/* in a transaction, as the role; may be NULL */
	void (*execute)(TaskContext *context);
	/* neither of them: the command runs at top level */
	/* after success, in a transaction, as the role; may be NULL */
	void (*record)(TaskContext *context);
	/*
	 * What came of the task in words, for the ledger; may be empty.  Called
	 * once the task has a result, and outside of any transaction: it reads that
	 * result, and nothing else but the task.
	 */
	char *(*describe)(const ClaimedTask *task, Jsonb *result);
	/* after an error, outside of any transaction, as the role; may be NULL */
	void (*clean_up)(TaskContext *context, const char *sqlstate);
	/* milliseconds, by the server's own account, or -1; may be NULL */
	double (*usual_duration)(Oid relation);
};

/*
 * Begins the definition of name_action, which engine/actions.h has a line for:
 * no header of its room declares it.
 */
#define DEFINE_ACTION(name)            \
	extern const Action name##_action; \
	const Action name##_action

/* adds one to a list; its detail is for the caller to fill in */
extern PlannedFinding *note_finding(List **findings, const char *check_id,
									const char *severity, char *object,
									char *message);

#endif /* PGMAINT_ACTION_H */
