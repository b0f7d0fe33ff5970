/*-------------------------------------------------------------------------
 *
 * predict.c
 *	  How long tasks will take, and in which order they are done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "engine/predict.h"
#include "ledger/history.h"

/*
 * Where nothing is known, disruptive work is taken to be slow: better begun in
 * a longer window than cancelled in a short one.
 */
#define GUESSED_BYTES_PER_SECOND (5 * 1024 * 1024)

/* what was stopped after some time takes this many times as long, or more */
#define CUT_SHORT_FACTOR 1.5

/* a task with what is known of earlier ones, for sorting */
typedef struct Candidate
{
	PlannedTask *task;
	TimestampTz last_at;
	int nth;
} Candidate;

static double
work_for(const PlannedTask *task)
{
	return (double) Max(task->bytes, BLCKSZ);
}

/*
 * By pgmaint's own history of the object, by the server's, by what other
 * objects took, or by a guess where the task must not take too long.
 */
static void
predict(const Action *action, PlannedTask *task, const TaskHistory *history,
		double others)
{
	double duration = -1;

	if (history->runs > 0)
	{
		duration = history->rate * work_for(task);
		task->predicted_from =
			psprintf("%d earlier %s on the object", history->runs,
					 history->runs == 1 ? "task" : "tasks");
	}
	else if (!task->disruptive && action->usual_duration != NULL)
	{
		duration = action->usual_duration(task->relation);
		task->predicted_from = "the server's statistics of the object";
	}
	if (duration < 0 && others >= 0)
	{
		duration = others * work_for(task);
		task->predicted_from = "tasks on other objects";
	}
	if (duration < 0 && task->disruptive)
	{
		duration = 1000.0 * work_for(task) / GUESSED_BYTES_PER_SECOND;
		task->predicted_from = "an assumed rate of 5 MB per second";
	}
	if (history->cut_short * CUT_SHORT_FACTOR > duration &&
		history->cut_short > 0)
	{
		duration = history->cut_short * CUT_SHORT_FACTOR;
		task->predicted_from = "a cancelled task on the object";
	}
	if (duration < 0)
		task->predicted_from = NULL;
	task->predicted = duration < 0 ? -1 : (int64) rint(duration);
}

/*
 * Disruptive tasks go before others, because their time is short, and among
 * them what was last begun longest ago.
 */
static int
compare_candidates(const ListCell *left, const ListCell *right)
{
	const Candidate *a = lfirst(left);
	const Candidate *b = lfirst(right);

	if (a->task->disruptive != b->task->disruptive)
		return a->task->disruptive ? -1 : 1;
	if (a->task->disruptive && a->last_at != b->last_at)
		return a->last_at < b->last_at ? -1 : 1;
	return a->nth - b->nth;
}

/*
 * See to the tasks that an action has planned.  The caller is inside a ledger
 * scope.
 */
void
predict_and_order(PlanContext *context, const Step *step)
{
	TaskHistory *histories = read_histories(context->tasks);
	double others[2] = {-1, -1};
	bool asked[2] = {false, false};
	bool disruptive = false;
	List *candidates = NIL;
	ListCell *cell;

	foreach (cell, context->tasks)
	{
		PlannedTask *task = lfirst(cell);
		int nth = foreach_current_index(cell);
		Candidate *candidate = palloc(sizeof(Candidate));

		CHECK_FOR_INTERRUPTS();
		if (histories[nth].runs == 0 && !asked[task->disruptive])
		{
			others[task->disruptive] =
				usual_rate(task->action, task->disruptive);
			asked[task->disruptive] = true;
		}
		predict(step->action, task, &histories[nth], others[task->disruptive]);
		disruptive |= task->disruptive;
		candidate->task = task;
		candidate->last_at = histories[nth].last_at;
		candidate->nth = nth;
		candidates = lappend(candidates, candidate);
	}
	if (!disruptive)
		return;
	list_sort(candidates, compare_candidates);
	context->tasks = NIL;
	foreach (cell, candidates)
		context->tasks =
			lappend(context->tasks, ((Candidate *) lfirst(cell))->task);
}
