/*-------------------------------------------------------------------------
 *
 * unfinished.c
 *	  The unfinished tasks of a step, as a process knows them.
 *
 * Each change of a task's state leaves a dead row version with its index
 * entries, and as long as any session has an old snapshot, VACUUM cannot remove
 * them.  A search by state in a step of 20,000 tasks would visit more of them
 * each time.  So tasks are read in the order of task_id, each once, and those
 * that have not ended are kept in a list in memory: the few that are running,
 * postponed or skipped.  These are read again by their primary key.  All tasks
 * of a step are added before it is executed, so the end, once reached, remains
 * the end.
 *
 * Only the ledger decides: a worker reads a task under LOCK_TASKS before it
 * claims it.  The caller is inside a ledger scope.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ledger/unfinished.h"

/* how many tasks of the list are read again by one statement */
#define READ_AT_ONCE 64

/*
 * Columns of an unfinished task p.  The tables that are in use are determined
 * once for each statement, from the tasks of other workers in $1, which are
 * found by their primary key.
 */
#define UNFINISHED_COLUMNS                                                          \
	"SELECT p.task_id, p.state = 'running' AS running, p.not_before, "              \
	"coalesce(p.relations && (SELECT pg_catalog.array_agg(x.relation) "             \
	"FROM pgmaint.tasks r, pg_catalog.unnest(r.relations) AS x (relation) "         \
	"WHERE r.task_id = ANY ($1) AND r.state = 'running'), false) AS tables_in_use " \
	"FROM pgmaint.tasks p "

static const ClaimedTasks no_others = {0};

/*
 * Begin with a step.  A caller that knows up to which position all tasks have
 * ended sets it.
 */
void
follow_step(UnfinishedTasks *unfinished, int64 run_id, int step)
{
	UnfinishedTask *tasks = unfinished->tasks;
	int room = unfinished->room;

	memset(unfinished, 0, sizeof(*unfinished));
	unfinished->run_id = run_id;
	unfinished->step = step;
	unfinished->tasks = tasks;
	unfinished->room = room;
}

static bool
is_claimed(const ClaimedTasks *others, int64 task_id)
{
	for (int i = 0; i < others->count; i++)
	{
		if (others->task_ids[i] == task_id)
			return true;
	}
	return false;
}

static bool
is_due(const UnfinishedTask *task, TimestampTz now)
{
	return task->not_before <= now;
}

static bool
is_claimable(const UnfinishedTask *task, TimestampTz now)
{
	return !task->running && !task->tables_in_use && is_due(task, now);
}

static void
fill_unfinished_task(UnfinishedTask *task, uint64 row)
{
	task->task_id = named_bigint(row, "task_id");
	task->running = named_boolean(row, "running");
	task->not_before = named_time(row, "not_before", 0);
	task->tables_in_use = named_boolean(row, "tables_in_use");
	task->read_again = false;
}

/*
 * Enlarge the list by that many tasks.
 */
static void
make_room(UnfinishedTasks *unfinished, int more)
{
	if (unfinished->count + more <= unfinished->room)
		return;
	unfinished->room = Max(2 * unfinished->room, unfinished->count + more);
	if (unfinished->tasks == NULL)
		unfinished->tasks = MemoryContextAlloc(
			TopMemoryContext, sizeof(UnfinishedTask) * unfinished->room);
	else
		unfinished->tasks = repalloc_huge(
			unfinished->tasks, sizeof(UnfinishedTask) * unfinished->room);
}

/*
 * Append the next unfinished tasks after the position, at most limit.
 *
 * The conditions are comparisons of rows, because a plan with any index other
 * than the one on these columns would have to sort.
 */
static void
read_further(UnfinishedTasks *unfinished, int limit,
			 const ClaimedTasks *others)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_bigints(&query, others->task_ids, others->count);
	bind_bigint(&query, unfinished->run_id);
	bind_integer(&query, unfinished->step);
	bind_bigint(&query, unfinished->position);
	bind_integer(&query, limit);
	rows = ledger_query_by_index(
		&query, UNFINISHED_COLUMNS
		"WHERE (p.run_id, p.step, p.task_id) > ($2, $3, $4) "
		"AND (p.run_id, p.step) <= ($2, $3) AND p.state IN ('pending', 'running') "
		"ORDER BY p.run_id, p.step, p.task_id LIMIT $5");
	make_room(unfinished, (int) rows);
	for (uint64 row = 0; row < rows; row++)
		fill_unfinished_task(&unfinished->tasks[unfinished->count++], row);
	if (rows > 0)
		unfinished->position =
			unfinished->tasks[unfinished->count - 1].task_id;
	unfinished->at_end = rows < (uint64) limit;
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Read the marked tasks before the given place of the list again, and remove
 * those that have ended.  Returns the new place.
 */
static int
read_marked_tasks(UnfinishedTasks *unfinished, int end,
				  const ClaimedTasks *others)
{
	LedgerQuery query = {0};
	int64 *ids = palloc(sizeof(int64) * Max(end, 1));
	int marked = 0;
	int kept = 0;
	uint64 rows;
	uint64 row = 0;

	for (int i = 0; i < end; i++)
	{
		if (unfinished->tasks[i].read_again)
			ids[marked++] = unfinished->tasks[i].task_id;
	}
	bind_bigints(&query, others->task_ids, others->count);
	bind_bigints(&query, ids, marked);
	rows = ledger_query_by_index(
		&query, UNFINISHED_COLUMNS
		"WHERE p.task_id = ANY ($2) AND p.state IN ('pending', 'running') "
		"ORDER BY p.task_id");
	for (int i = 0; i < end; i++)
	{
		UnfinishedTask *task = &unfinished->tasks[i];

		if (task->read_again)
		{
			if (row == rows || ledger_bigint(row, 1) != task->task_id)
				continue;
			fill_unfinished_task(task, row++);
		}
		unfinished->tasks[kept++] = *task;
	}
	memmove(&unfinished->tasks[kept], &unfinished->tasks[end],
			sizeof(UnfinishedTask) * (unfinished->count - end));
	unfinished->count -= end - kept;
	SPI_freetuptable(SPI_tuptable);
	pfree(ids);
	return kept;
}

/*
 * The first task of the list, from a place on, that can be claimed; 0 if there
 * is none.
 */
static int64
first_claimable(const UnfinishedTasks *unfinished, int from, int end,
				TimestampTz now)
{
	for (int i = from; i < end; i++)
	{
		if (is_claimable(&unfinished->tasks[i], now))
			return unfinished->tasks[i].task_id;
	}
	return 0;
}

/*
 * Mark tasks of the list that may begin and that no worker has claimed, from a
 * place on.  Returns the next place; if that is the end, nothing is marked.
 */
static int
mark_due_tasks(UnfinishedTasks *unfinished, int from, TimestampTz now,
			   const ClaimedTasks *others)
{
	int marked = 0;
	int i;

	for (i = from; i < unfinished->count && marked < READ_AT_ONCE; i++)
	{
		UnfinishedTask *task = &unfinished->tasks[i];

		if (is_claimed(others, task->task_id))
			task->running = true;
		else if (is_due(task, now))
		{
			task->read_again = true;
			marked++;
		}
	}
	return marked > 0 ? i : -1;
}

/*
 * Read some tasks of the list again, from a place on, which advances.  Returns
 * the first that can be claimed, or 0.
 */
static int64
look_again(UnfinishedTasks *unfinished, int *place, TimestampTz now,
		   const ClaimedTasks *others)
{
	int from = *place;
	int end = mark_due_tasks(unfinished, from, now, others);

	if (end < 0)
	{
		*place = unfinished->count;
		return 0;
	}
	*place = read_marked_tasks(unfinished, end, others);
	return first_claimable(unfinished, from, *place, now);
}

/*
 * Find a task that may begin and whose tables no other worker uses; 0 if there
 * is none.  The caller holds LOCK_TASKS, and has ended its own task.
 *
 * Thousands of tasks may share a table, and an idle worker asks many times a
 * second.  So each call reads the first tasks of the list again, with those
 * that follow while some have ended, and others in turn.
 */
int64
find_claimable_task(UnfinishedTasks *unfinished, const ClaimedTasks *others)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 task_id;
	int place;
	int before;

	do
	{
		before = unfinished->count;
		place = 0;
		task_id = look_again(unfinished, &place, now, others);
	} while (task_id == 0 && unfinished->count < before);
	if (task_id == 0)
	{
		if (unfinished->turn < place || unfinished->turn >= unfinished->count)
			unfinished->turn = place;
		task_id = look_again(unfinished, &unfinished->turn, now, others);
	}
	while (task_id == 0 && !unfinished->at_end)
	{
		place = unfinished->count;
		/* usually the tasks of others and the one that follows */
		read_further(unfinished, others->count + 1, others);
		task_id = first_claimable(unfinished, place, unfinished->count, now);
	}
	return task_id;
}

/*
 * The caller has claimed a task.
 */
void
forget_task(UnfinishedTasks *unfinished, int64 task_id)
{
	for (int i = 0; i < unfinished->count; i++)
	{
		if (unfinished->tasks[i].task_id != task_id)
			continue;
		unfinished->count--;
		memmove(&unfinished->tasks[i], &unfinished->tasks[i + 1],
				sizeof(UnfinishedTask) * (unfinished->count - i));
		return;
	}
}

/*
 * The caller has postponed a task that it had claimed.
 */
void
remember_postponed_task(UnfinishedTasks *unfinished, int64 task_id,
						TimestampTz not_before)
{
	UnfinishedTask *task;
	int place;

	make_room(unfinished, 1);
	place = unfinished->count++;
	while (place > 0 && unfinished->tasks[place - 1].task_id > task_id)
	{
		unfinished->tasks[place] = unfinished->tasks[place - 1];
		place--;
	}
	task = &unfinished->tasks[place];
	memset(task, 0, sizeof(*task));
	task->task_id = task_id;
	task->not_before = not_before;
}

static UnfinishedTask *
next_pending_task(const UnfinishedTasks *unfinished)
{
	UnfinishedTask *next = NULL;

	for (int i = 0; i < unfinished->count; i++)
	{
		UnfinishedTask *task = &unfinished->tasks[i];

		if (!task->running &&
			(next == NULL || task->not_before < next->not_before))
			next = task;
	}
	return next;
}

/*
 * Milliseconds until a pending task may be tried again, after
 * find_claimable_task() has found none; negative if none is pending.
 *
 * Tasks that may not begin yet are read again, too, because another process
 * may have ended them; then all of them may have ended.
 */
int64
time_to_next_task(UnfinishedTasks *unfinished, const ClaimedTasks *others)
{
	TimestampTz now = GetCurrentTimestamp();
	UnfinishedTask *next = next_pending_task(unfinished);

	if (next != NULL && !is_due(next, now))
	{
		int64 task_id = next->task_id;

		next->read_again = true;
		(void) read_marked_tasks(unfinished, unfinished->count, others);
		next = next_pending_task(unfinished);
		if (next != NULL && next->task_id != task_id)
		{
			for (int i = 0; i < unfinished->count; i++)
				unfinished->tasks[i].read_again = true;
			(void) read_marked_tasks(unfinished, unfinished->count, others);
			next = next_pending_task(unfinished);
		}
	}
	if (next == NULL)
		return -1;
	if (is_due(next, now))
		return 0;
	return (next->not_before - now) / 1000 + 1;
}

/*
 * The number of pending and of running tasks of a step, up to a limit.  If more
 * tasks have not ended, the first of them are counted.
 */
void
count_tasks(UnfinishedTasks *unfinished, int limit, TaskCounts *counts)
{
	for (int i = 0; i < unfinished->count; i++)
		unfinished->tasks[i].read_again = true;
	if (unfinished->count > 0)
		(void) read_marked_tasks(unfinished, unfinished->count, &no_others);
	if (unfinished->count < limit && !unfinished->at_end)
		read_further(unfinished, limit - unfinished->count, &no_others);

	memset(counts, 0, sizeof(*counts));
	for (int i = 0; i < unfinished->count; i++)
	{
		if (unfinished->tasks[i].running)
			counts->running++;
		else
			counts->pending++;
	}
}

/*
 * All tasks up to this one had ended at the last count.
 */
int64
position_before_unfinished(const UnfinishedTasks *unfinished)
{
	return unfinished->count > 0 ? unfinished->tasks[0].task_id - 1
								 : unfinished->position;
}
