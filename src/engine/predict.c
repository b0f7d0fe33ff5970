/*-------------------------------------------------------------------------
 *
 * predict.c
 *	  The predicted durations of tasks, and their order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "engine/predict.h"
#include "ledger/history.h"

/*
 * Without any figures, disruptive tasks are assumed to be slow: it is better
 * to begin them in a longer window than to cancel them in a short one.
 */
#define GUESSED_BYTES_PER_SECOND (5 * 1024 * 1024)

/*
 * a task that was stopped after some time takes this many times as long, or
 * more
 */
#define CUT_SHORT_FACTOR 1.5

/* a task with the history of its object, for sorting */
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
 * Predict from earlier tasks on the object, from the server's statistics, from
 * tasks on other objects, or, for disruptive tasks, from an assumed rate.
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
 * Disruptive tasks precede others, because the time for them is short, and
 * among them those whose last attempt is oldest.
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
 * Predict the durations of the tasks that an action has planned, and sort the
 * tasks.  The caller is inside a ledger scope.
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
