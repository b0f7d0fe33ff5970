/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Lists actions and their options, and describes results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "engine/actions.h"

PG_FUNCTION_INFO_V1(pgmaint_actions);
PG_FUNCTION_INFO_V1(pgmaint_describe_result);

#define ACTION_COLUMNS 5

/*
 * pgmaint.actions(): a row for each action, followed by those of its options.
 */
Datum
pgmaint_actions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Action *action;

	materialize_result(fcinfo);
	for (int i = 0; (action = action_by_number(i)) != NULL; i++)
	{
		Datum values[ACTION_COLUMNS];
		bool action_nulls[ACTION_COLUMNS] = {false, true, true, true, false};

		values[0] = CStringGetTextDatum(action->name);
		values[4] = CStringGetTextDatum(action->description);
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 action_nulls);
		for (const ActionOption *option = action->options;
			 option->name != NULL; option++)
		{
			bool nulls[ACTION_COLUMNS] = {0};

			values[1] = CStringGetTextDatum(option->name);
			values[2] = CStringGetTextDatum(option_kind_name(option));
			nulls[3] = option->fallback == NULL;
			if (!nulls[3])
				values[3] = CStringGetTextDatum(option->fallback);
			values[4] = CStringGetTextDatum(
				option->server == 0
					? option->description
					: psprintf("%s (PostgreSQL %d and later)",
							   option->description, option->server));
			tuplestore_putvalues(result->setResult, result->setDesc, values,
								 nulls);
		}
	}
	return (Datum) 0;
}

/*
 * pgmaint_internal.describe_result(action text, target text, result jsonb)
 * returns text: for tests of results that are rare.
 */
Datum
pgmaint_describe_result(PG_FUNCTION_ARGS)
{
	const Action *action = find_action(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ClaimedTask task = {0};

	if (action == NULL)
		PG_RETURN_NULL();
	task.target = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PG_RETURN_TEXT_P(
		cstring_to_text(action->describe(&task, PG_GETARG_JSONB_P(2))));
}
