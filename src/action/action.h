/*-------------------------------------------------------------------------
 *
 * action.h
 *	  The definition of an action: the framework that all actions share.
 *
 * The room action: the framework of all actions: their definition, their
 * options, the tables that they select, leftovers, headroom, blockers.
 *
 * An action plans tasks and executes them.  Most tasks are a command that runs
 * at top level; an action whose work is done in C has an execute function
 * instead.  The table of actions is in engine/actions.h.
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

/* input and output of the plan function of an action */
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
	List *failures; /* texts: why parts of the step could not be planned */
	List *analyzed; /* OIDs whose statistics an earlier step renews */
} PlanContext;

/* a finding that belongs to no task */
typedef struct PlannedFinding
{
	const char *check_id;
	const char *severity;
	char *object;
	char *message;
	char *detail;
} PlannedFinding;

/* state of a task that is being executed */
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
	int64 returned_bytes; /* set by record: bytes that were freed */
	char *result;		  /* JSON object for the ledger */
	const char *shown_as; /* NULL: as defined by the action */
	char *not_done;		  /* why a command that succeeded had no effect */
	char *failure;	   /* why the task failed although its command succeeded */
	int failure_state; /* SQLSTATE of that failure */
	char *gave_up;	   /* context of an error that ended the task */
	bool tried_enough; /* by execute: all retries for a lock are used up */
	LOCKMODE awaited;  /* not available; NoLock: the usual lock */
	int64 first_upload; /* that this attempt noted; 0: none */
	char *error;		/* for clean_up: the error that ended the attempt */
	int retries; /* by clean_up: try again, up to the number of retries */
	int64 retry_delay; /* milliseconds before the first retry */
	Oid successor;	   /* the relation that has replaced the task's object */
	List *findings;	   /* of PlannedFinding */
} TaskContext;

/* why a task that could begin must not */
typedef enum HoldBack
{
	HOLD_BACK_NOTHING,
	HOLD_BACK_RETRY, /* the cause may disappear soon */
	HOLD_BACK_SKIP,
	HOLD_BACK_LEAVE /* the action has one finding for all such tasks */
} HoldBack;

/* how a report shows a task that succeeded; NULL: by itself */
#define SHOWN_WITH_STEP "step" /* its outcome is the outcome of the step */
#define SHOWN_AS_COUNT "count" /* counted with others of its action */

struct Action
{
	const char *name;
	const char *description;
	const ActionOption *options;
	/*
	 * Tasks can be repeated, and nothing depends on their state: a crash may
	 * lose the last of their states.
	 */
	bool repeatable;
	/* tasks write to the storage in their evidence, or remove from it */
	bool uses_storage;
	const char *shown_as; /* unless the task has its own value */
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
	/* if both are NULL, the command runs at top level */
	/* after success, in a transaction, as the role; may be NULL */
	void (*record)(TaskContext *context);
	/*
	 * The outcome of the task in words, for the ledger; may be empty.  Called
	 * once the task has a result, outside of any transaction: reads that
	 * result and the task, and nothing else.
	 */
	char *(*describe)(const ClaimedTask *task, Jsonb *result);
	/* after an error, outside of any transaction, as the role; may be NULL */
	void (*clean_up)(TaskContext *context, const char *sqlstate);
	/* milliseconds, from the server's statistics, or -1; may be NULL */
	double (*usual_duration)(Oid relation);
};

/*
 * Begins the definition of name_action, which is declared by engine/actions.h,
 * not by a header of its room.
 */
#define DEFINE_ACTION(name)            \
	extern const Action name##_action; \
	const Action name##_action

/* adds a finding to a list; the caller sets its detail */
extern PlannedFinding *note_finding(List **findings, const char *check_id,
									const char *severity, char *object,
									char *message);

#endif /* PGMAINT_ACTION_H */
