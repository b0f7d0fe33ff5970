/*-------------------------------------------------------------------------
 *
 * dryrun.c
 *	  dry_run: the tasks that a run would do now.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "engine/plan.h"

PG_FUNCTION_INFO_V1(pgmaint_dry_run);

#define DRY_RUN_COLUMNS 7

/*
 * How many milliseconds a task may take, or -1: by pgmaint's own history of
 * its table, by the server's, or by what other tables took.
 */
static int64
predict_duration(const Action *action, const PlannedTask *task,
				 double usual_rate)
{
	double rate = duration_per_byte(task->action, task->relation);

	if (rate < 0 && action->usual_duration != NULL)
	{
		double duration = action->usual_duration(task->relation);

		if (duration >= 0)
			return (int64) rint(duration);
	}
	if (rate < 0)
		rate = usual_rate;
	return rate < 0 ? -1 : (int64) (rate * Max(task->bytes, BLCKSZ));
}

/*
 * A task as a row.
 */
static void
put_task(ReturnSetInfo *result, int step, const PlannedTask *task,
		 int64 duration)
{
	Datum values[DRY_RUN_COLUMNS];
	bool nulls[DRY_RUN_COLUMNS] = {0};

	values[0] = Int32GetDatum(step);
	values[1] = CStringGetTextDatum(task->action);
	values[2] = CStringGetTextDatum(task->target);
	values[3] = CStringGetTextDatum(task->command);
	values[4] = CStringGetTextDatum(task->reason);
	values[5] = Int64GetDatum(task->bytes);
	nulls[5] = task->bytes < 0;
	nulls[6] = duration < 0;
	if (duration >= 0)
	{
		Interval *interval = palloc0(sizeof(Interval));

		interval->time = duration * 1000;
		values[6] = IntervalPGetDatum(interval);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * pgmaint.dry_run(plan text, options jsonb)
 *
 * Asks the actions as the leader would, with the rights of the caller, and
 * writes nothing; so it works on a standby.
 */
Datum
pgmaint_dry_run(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	LedgerScope scope;
	PlanContext context = {0};
	List *steps;
	ListCell *cell;
	int number = 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the plan must not be null")));
	materialize_result(fcinfo);
	steps = steps_of_plan(text_to_cstring(PG_GETARG_TEXT_PP(0)),
						  PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1));
	context.role = GetUserId();
	foreach (cell, steps)
	{
		Step *step = lfirst(cell);
		double usual_rate;
		ListCell *task;

		number++;
		ledger_enter(&scope);
		plan_step(&context, step);
		usual_rate = duration_per_byte(step->action->name, InvalidOid);
		foreach (task, context.tasks)
		{
			CHECK_FOR_INTERRUPTS();
			put_task(result, number, lfirst(task),
					 predict_duration(step->action, lfirst(task), usual_rate));
		}
		ledger_leave(&scope);
	}
	return (Datum) 0;
}
