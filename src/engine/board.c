/*-------------------------------------------------------------------------
 *
 * board.c
 *	  The tasks that the task workers of a leader have claimed.
 *
 * No two running tasks share a table.  A worker that claims a task has to know
 * which others are running, without a search through the ledger: see
 * unfinished.c.  So the leader and its workers share a piece of memory, in which
 * each worker has a place for the task that it has claimed.  It is written
 * before the claim is committed, and read, under LOCK_TASKS.  It only lists
 * candidates: whether a task is running, and on which tables, is in its row.  A
 * lock on each table is no alternative: a task may have thousands, more than the
 * server's lock table has room for.
 *
 * A place also names the previous task until the transaction that ends it has
 * committed.  So a worker that dies leaves no running task that its place does
 * not name; the leader records that they were interrupted, and clears the place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"

#include "engine/board.h"

typedef struct Place
{
	pg_atomic_uint64 task;	   /* 0: none */
	pg_atomic_uint64 previous; /* its end has not committed; 0: none */
	pg_atomic_uint32 has_claimed;
} Place;

static Place *board = NULL;
static dsm_handle board_handle;
static int own_place = -1;

/*
 * The leader's board, for all of its runs.
 */
dsm_handle
share_board(void)
{
	dsm_segment *segment;

	if (board != NULL)
		return board_handle;
	segment = dsm_create(sizeof(Place) * MAX_CREW, 0);
	dsm_pin_mapping(segment);
	board = dsm_segment_address(segment);
	board_handle = dsm_segment_handle(segment);
	for (int i = 0; i < MAX_CREW; i++)
	{
		pg_atomic_init_u64(&board[i].task, 0);
		pg_atomic_init_u64(&board[i].previous, 0);
		pg_atomic_init_u32(&board[i].has_claimed, 0);
	}
	return board_handle;
}

/*
 * Clear a place for its next worker.
 */
void
clear_place(int place)
{
	pg_atomic_write_u64(&board[place].task, 0);
	pg_atomic_write_u64(&board[place].previous, 0);
	pg_atomic_write_u32(&board[place].has_claimed, 0);
}

static void
add_claimed(ClaimedTasks *claimed, pg_atomic_uint64 *task)
{
	int64 task_id = (int64) pg_atomic_read_u64(task);

	if (task_id != 0)
		claimed->task_ids[claimed->count++] = task_id;
}

/*
 * The tasks that the worker of a place may have left unfinished.
 */
ClaimedTasks *
tasks_of_place(int place)
{
	ClaimedTasks *claimed = palloc0(sizeof(ClaimedTasks));

	claimed->task_ids = palloc(sizeof(int64) * 2);
	add_claimed(claimed, &board[place].task);
	add_claimed(claimed, &board[place].previous);
	return claimed;
}

/*
 * Has the worker of a place claimed any task?
 */
bool
place_has_claimed(int place)
{
	return pg_atomic_read_u32(&board[place].has_claimed) != 0;
}

/*
 * Returns false if the leader has ended.
 */
bool
attach_to_board(dsm_handle handle, int place)
{
	dsm_segment *segment = dsm_attach(handle);

	if (segment == NULL)
		return false;
	dsm_pin_mapping(segment);
	board = dsm_segment_address(segment);
	own_place = place;
	return true;
}

/*
 * The tasks that the other workers have claimed.  Under LOCK_TASKS.
 */
ClaimedTasks *
tasks_of_others(void)
{
	ClaimedTasks *claimed = palloc0(sizeof(ClaimedTasks));

	claimed->task_ids = palloc(sizeof(int64) * 2 * MAX_CREW);
	for (int i = 0; i < MAX_CREW; i++)
	{
		if (i == own_place)
			continue;
		add_claimed(claimed, &board[i].task);
		add_claimed(claimed, &board[i].previous);
	}
	return claimed;
}

/*
 * This worker claims a task, or none (0), and ends its previous one, when its
 * transaction commits.  Under LOCK_TASKS.
 */
void
note_claim(int64 task_id)
{
	Place *place = &board[own_place];

	pg_atomic_write_u64(&place->previous, pg_atomic_read_u64(&place->task));
	pg_atomic_write_u64(&place->task, (uint64) task_id);
	if (task_id != 0)
		pg_atomic_write_u32(&place->has_claimed, 1);
}

void
note_commit(void)
{
	pg_atomic_write_u64(&board[own_place].previous, 0);
}
