/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Starting the leader and the task workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LAUNCH_H
#define PGMAINT_LAUNCH_H

#include "postmaster/bgworker.h"
#include "storage/dsm.h"

/* what a leader has to know; goes into bgw_extra */
typedef struct LeaderArguments
{
	Oid database;
	Oid extension;
	bool resume; /* queue again what it finds interrupted */
} LeaderArguments;

/* what a messenger has to know */
typedef struct MessengerArguments
{
	Oid database;
	Oid extension;
	int clock_offset;
} MessengerArguments;

/* what a task worker has to know */
typedef struct TaskWorkerArguments
{
	Oid database;
	Oid extension;
	Oid role;
	int64 run_id;
	int64 position; /* the tasks of the step up to this one have ended */
	int step;
	int worker;
	int place; /* on the board, which has this handle */
	dsm_handle board;
} TaskWorkerArguments;

extern bool launch_worker(const char *type, const char *name,
						  const char *function, const void *arguments,
						  Size size, bool notify,
						  BackgroundWorkerHandle **handle);
extern void launch_leader_at_commit(bool resume);
extern void launch_leader_at_end(void);
extern void launch_leader_if_room(void);
extern bool launch_waiting_leaders(bool own);
extern void launch_messenger_at_commit(void);
extern bool launch_task_worker(const TaskWorkerArguments *arguments,
							   BackgroundWorkerHandle **handle);

#endif /* PGMAINT_LAUNCH_H */
