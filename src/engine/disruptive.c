/*-------------------------------------------------------------------------
 *
 * disruptive.c
 *	  Disruptive tasks run only while a maintenance window is open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "action/selection.h"
#include "base/wording.h"
#include "engine/disruptive.h"
#include "ledger/windows.h"

/* when the window of the current task ends */
static TimeoutId window_timeout = MAX_TIMEOUTS;
static volatile sig_atomic_t window_ended = false;

/*
 * Has the caller allowed disruptive tasks at any time?
 */
static bool
ignores_windows(const Action *action, Jsonb *options)
{
	return find_option(action->options, "ignore_window") != NULL &&
		   option_boolean(action->options, options, "ignore_window");
}

/*
 * Record one finding for all tasks of a step that are held back: what they
 * would gain, and what to do about it.
 */
static void
report_held_back(PlanContext *context, const Step *step, int count, int64 gain,
				 const char *because, const char *remedy)
{
	StringInfoData message;

	initStringInfo(&message);
	appendStringInfo(&message, "%d disruptive %s of \"%s\" %s skipped: %s",
					 count, count == 1 ? "task" : "tasks", step->action->name,
					 count == 1 ? "was" : "were", because);
	if (gain > 0)
		appendStringInfo(&message, "; %s would free %s",
						 count == 1 ? "it" : "they", size_text(gain));
	appendStringInfoString(&message, remedy);
	plan_finding(
		context, "window", "warning", NULL, message.data,
		psprintf("{\"action\": \"%s\", \"tasks\": %d, \"gain_bytes\": %lld}",
				 step->action->name, count, (long long) gain));
}

/*
 * Hold back disruptive tasks outside of windows.  Inside, a task that would
 * not end in time uses its gentler command, if it has one.  The caller is
 * inside a ledger scope.
 */
void
hold_back_disruptive_tasks(PlanContext *context, const Step *step)
{
	WindowState state;
	bool asked = false;
	char *because = NULL;
	int count = 0;
	int64 gain = 0;
	ListCell *cell;

	if (ignores_windows(step->action, context->options))
		return;
	foreach (cell, context->tasks)
	{
		PlannedTask *task = lfirst(cell);

		if (!task->disruptive)
			continue;
		if (!asked)
		{
			read_window_state(&state);
			asked = true;
		}
		if (state.open)
		{
			if (task->gentler != NULL &&
				task->predicted > window_milliseconds_left(&state))
			{
				task->gentler->predicted = -1;
				lfirst(cell) = task->gentler;
			}
			continue;
		}
		if (because == NULL)
		{
			because = state.defined
						  ? psprintf("no maintenance window is open (%s)",
									 describe_next_window())
						  : "no maintenance window is defined";
		}
		task->held_back = because;
		gain += Max(task->gain_bytes, 0);
		count++;
	}
	if (count > 0)
		report_held_back(
			context, step, count, gain, because,
			state.defined
				? ""
				: "; define a window, for example SELECT pgmaint.add_window('sunday', '{0}', '02:00', '4 hours'), or run the action with {\"ignore_window\": true} at a time when it may block other sessions");
}

/*
 * Read the time left in the window, in a separate ledger scope.
 */
static int64
time_left(WindowState *state)
{
	LedgerScope scope;

	ledger_enter(&scope);
	read_window_state(state);
	ledger_leave(&scope);
	return window_milliseconds_left(state);
}

/*
 * Is a window open now that the task is about to begin, and for long enough?
 * The caller is in a transaction.
 */
bool
window_has_room(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	WindowState state;

	context->window = NULL;
	if (!task->disruptive ||
		ignores_windows(context->action, context->options))
		return true;
	context->window_left = time_left(&state);
	if (!state.open)
		*reason = "the maintenance window closed before the task began";
	else if (task->predicted > context->window_left)
		*reason = psprintf(
			"predicted to take %s (based on %s), but window \"%s\" closes in %s",
			duration_text(task->predicted), task->predicted_from, state.name,
			duration_text(context->window_left));
	else
	{
		context->window = state.name;
		if (context->window_left < INT_MAX)
			context->window_ends = TimestampTzPlusMilliseconds(
				GetCurrentTimestamp(), context->window_left);
	}
	return context->window != NULL;
}

/*
 * The window has ended: interrupt the command, as pg_cancel_backend() would.
 */
static void
handle_window_timeout(void)
{
	window_ended = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/*
 * Interrupt the task if it outlasts its window.
 */
void
begin_to_watch_window(TaskContext *context)
{
	window_ended = false;
	if (context->window == NULL || context->window_left >= INT_MAX)
		return;
	if (window_timeout == MAX_TIMEOUTS)
		window_timeout = RegisterTimeout(USER_TIMEOUT, handle_window_timeout);
	enable_timeout_at(window_timeout, context->window_ends);
}

/*
 * The task has ended.  The end of its window has no effect from now on.
 */
void
stop_watching_window(void)
{
	if (window_timeout == MAX_TIMEOUTS)
		return;
	disable_timeout(window_timeout, false);
	if (window_ended)
		QueryCancelPending = false;
	window_ended = false;
}

/*
 * Was a task interrupted because its window ended?  Then record a finding,
 * because the work of the task was lost.
 */
bool
window_has_ended(const TaskContext *context, char **error, List **findings)
{
	if (!window_ended)
		return false;
	window_ended = false;
	*error =
		psprintf("maintenance window \"%s\" ended, %s after the task began",
				 context->window, duration_text(context->window_left));
	(void) note_finding(
		findings, "window", "warning", context->task->target,
		psprintf("%s was cancelled: %s", context->task->command, *error));
	return true;
}
