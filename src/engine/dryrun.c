/*-------------------------------------------------------------------------
 *
 * dryrun.c
 *	  dry_run: the tasks that a run would do now.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "engine/disruptive.h"
#include "engine/plan.h"
#include "engine/predict.h"
#include "objects/storage_names.h"

PG_FUNCTION_INFO_V1(pgmaint_dry_run);

#define DRY_RUN_COLUMNS 10

static void
put_text(Datum *values, bool *nulls, int column, const char *text)
{
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

/*
 * A task as a row.
 */
static void
put_task(ReturnSetInfo *result, int step, const PlannedTask *task)
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
	nulls[6] = task->predicted < 0;
	if (task->predicted >= 0)
	{
		Interval *interval = palloc0(sizeof(Interval));

		interval->time = task->predicted * 1000;
		values[6] = IntervalPGetDatum(interval);
	}
	put_text(values, nulls, 7, task->predicted_from);
	values[8] = BoolGetDatum(task->disruptive);
	put_text(values, nulls, 9, task->held_back);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * pgmaint.dry_run(plan text, options jsonb)
 *
 * Plans the steps as the leader would, with the rights of the caller, and
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
	ledger_enter(&scope);
	follow_storage_names(false);
	ledger_leave(&scope);
	context.role = GetUserId();
	context.plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	foreach (cell, steps)
	{
		Step *step = lfirst(cell);
		ListCell *task;

		number++;
		ledger_enter(&scope);
		plan_step(&context, step);
		predict_and_order(&context, step);
		hold_back_disruptive_tasks(&context, step);
		foreach (task, context.tasks)
		{
			CHECK_FOR_INTERRUPTS();
			put_task(result, number, lfirst(task));
		}
		foreach (task, context.failures)
			ereport(WARNING, (errmsg_internal("%s", (char *) lfirst(task))));
		ledger_leave(&scope);
	}
	return (Datum) 0;
}
