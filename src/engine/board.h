/*-------------------------------------------------------------------------
 *
 * board.h
 *	  The tasks that the task workers of a leader have claimed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BOARD_H
#define PGMAINT_BOARD_H

#include "storage/dsm.h"

#include "ledger/unfinished.h"

/* task workers of one leader */
#define MAX_CREW 64

/* by the leader */
extern dsm_handle share_board(void);
extern void clear_place(int place);
extern ClaimedTasks *tasks_of_place(int place);
extern bool place_has_claimed(int place);

/* by a task worker */
extern bool attach_to_board(dsm_handle handle, int place);
extern ClaimedTasks *tasks_of_others(void);
extern void note_claim(int64 task_id);
extern void note_commit(void);

#endif /* PGMAINT_BOARD_H */
