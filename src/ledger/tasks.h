/*-------------------------------------------------------------------------
 *
 * tasks.h
 *	  The rows of pgmaint.tasks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TASKS_H
#define PGMAINT_TASKS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ledger/ledger.h"

/* a task that an action has planned */
typedef struct PlannedTask
{
	const char *action;
	char *target;
	char *command;
	char *reason;
	char *evidence; /* JSON object, or NULL */
	Oid relation;
	List *relations; /* OIDs of all tables that are worked on */
	int64 bytes;
	bool disruptive;			 /* may run only while a window is open */
	int64 gain_bytes;			 /* bytes that it would free; 0: unknown */
	struct PlannedTask *gentler; /* instead, if no window is long enough */
	/* the engine's own */
	int64 predicted; /* milliseconds; negative: unknown */
	const char *predicted_from;
	char *held_back; /* why it must not begin at all, or NULL */
} PlannedTask;

/* a task that a worker has claimed */
typedef struct ClaimedTask
{
	int64 task_id;
	char *action;
	char *target;
	char *command;
	Oid relation;
	int attempt;
	Jsonb *evidence;
	bool disruptive;
	int64 predicted; /* milliseconds; negative: unknown */
	char *predicted_from;
} ClaimedTask;

/* how it ended; negative sizes are unknown */
typedef struct TaskOutcome
{
	const char *state;
	int64 bytes_before;
	int64 bytes_after;
	char *result;	   /* JSON object, or NULL */
	char *description; /* the outcome in words, or NULL */
	const char *shown_as;
	const char *sqlstate;
	char *error;
} TaskOutcome;

extern void add_tasks(int64 run_id, int step, List *tasks);
extern bool claim_task(int64 task_id, int worker, ClaimedTask *task);
extern void finish_task(int64 task_id, const TaskOutcome *outcome);
extern TimestampTz postpone_task(int64 task_id, const TaskOutcome *outcome,
								 int64 milliseconds);
extern int last_worker_of(int64 run_id);
extern uint64 end_pending_tasks(int64 run_id, const char *state,
								const char *error);
extern uint64 interrupt_tasks_of(int64 run_id, int worker,
								 const int64 *task_ids, int count,
								 const char *error);
extern uint64 interrupt_running_tasks(const char *error);
extern char *describe_unfinished_work(int64 run_id);
extern void follow_relation(Oid old, Oid successor);

#endif /* PGMAINT_TASKS_H */
