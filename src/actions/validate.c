/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  The action "validate": what pgmaint.validate() finds not to be in order
 *	  becomes findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "actions/action.h"

static const ActionOption options[] = {END_OF_OPTIONS};

static void
plan_validate(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "validate";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = "SELECT * FROM pgmaint.validate()";
	task->reason = "what is not in order becomes a finding";
	task->bytes = -1;
	context->tasks = list_make1(task);
}

/*
 * The task succeeds whatever the checks say: looking was its work.
 */
static void
execute_validate(TaskContext *context)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	int critical = 0;
	int warnings = 0;
	uint64 rows;

	ledger_enter(&scope);
	rows = ledger_query(
		&query, "SELECT v.check_id, v.status, v.object, v.detail, "
				"pg_catalog.jsonb_build_object('expected', v.expected)::text "
				"FROM pgmaint.validate() v");
	for (uint64 row = 0; row < rows; row++)
	{
		char *status = ledger_text(row, 2);

		if (strcmp(status, "ok") == 0)
			continue;
		if (strcmp(status, "critical") == 0)
			critical++;
		else
			warnings++;
		note_finding(&context->findings, ledger_text(row, 1), status,
					 ledger_text(row, 3), ledger_text(row, 4))
			->detail = ledger_text(row, 5);
	}
	ledger_leave(&scope);
	context->result =
		psprintf("{\"checks\": %lld, \"warnings\": %d, \"critical\": %d}",
				 (long long) rows, warnings, critical);
}

const Action validate_action = {
	.name = "validate",
	.description =
		"look whether everything is in order, by pgmaint.validate(); what is not becomes a finding",
	.options = options,
	.plan = plan_validate,
	.execute = execute_validate,
};
