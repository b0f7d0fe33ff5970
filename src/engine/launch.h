/*-------------------------------------------------------------------------
 *
 * launch.h
 *	  Starts leaders, task workers and messengers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_LAUNCH_H
#define PGMAINT_LAUNCH_H

#include "postmaster/bgworker.h"
#include "storage/dsm.h"

/* arguments of a leader; in bgw_extra */
typedef struct LeaderArguments
{
	Oid database;
	Oid extension;
	bool resume; /* queue interrupted runs again */
} LeaderArguments;

/* arguments of a messenger */
typedef struct MessengerArguments
{
	Oid database;
	Oid extension;
	int clock_offset;
} MessengerArguments;

/* arguments of a task worker */
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
