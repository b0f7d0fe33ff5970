/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  The action "validate": reports the checks of pgmaint.validate() that are
 *	  not ok, stores the status of each check for pgmaint.metrics, and compares
 *	  storages with the ledger.
 *
 * The room review: checks for a person's attention: validation, statements,
 * indexes, connections, storages.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "action/result.h"
#include "base/wording.h"
#include "review/storage_review.h"

static const ActionOption options[] = {
	RANGE_OPTION(
		"archive_check_days", OPTION_INTEGER, 0, 36500, "90",
		"read every archive once within this many days, some in each run; 0: read none"),
	END_OF_OPTIONS,
};

static void
plan_validate(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "validate";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = "SELECT * FROM pgmaint.validate()";
	task->reason = "execute the checks, and report those that are not ok";
	task->bytes = -1;
	context->tasks = list_make1(task);
	plan_storage_reviews(context);
}

static void
execute_storage_review(TaskContext *context)
{
	char *storage = storage_to_review(context->task);

	if (storage != NULL)
		review_storage(context, storage);
}

/* of a check, over all objects */
#define WORST_STATUS                                                     \
	"(pg_catalog.array_agg(v.status ORDER BY pg_catalog.array_position(" \
	"'{critical,warning,ok}', v.status)))[1]"

/*
 * Tasks of one run validate and check storages at the same time.  The task
 * that gets the lock last sees the results of all others.  The checks of a
 * large database may take longer than lock_timeout, which is for users'
 * tables.
 */
static void
lock_last_validation(void)
{
	LedgerQuery query = {0};
	int level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) ledger_query(
		&query,
		"LOCK TABLE pgmaint_internal.last_validation IN SHARE ROW EXCLUSIVE MODE");
	/* the checks themselves read users' objects */
	AtEOXact_GUC(false, level);
}

/*
 * Update the state of the check after a storage was compared.
 */
static void
renew_storage_check(void)
{
	LedgerQuery query = {0};
	LedgerScope scope;

	ledger_enter(&scope);
	lock_last_validation();
	(void) ledger_query(
		&query,
		"UPDATE pgmaint_internal.last_validation l SET status = c.status FROM ("
		"SELECT v.check_id, " WORST_STATUS " AS status "
		"FROM pgmaint_internal.check_group('validate_storages') v GROUP BY v.check_id) c "
		"WHERE l.check_id = c.check_id AND l.identity = pgmaint_internal.current_identity()");
	ledger_leave(&scope);
}

/*
 * The task succeeds whatever the checks find.  Findings in a storage that a
 * task of this run checks are left to that task.
 */
static void
execute_validate(TaskContext *context)
{
	LedgerQuery none = {0};
	LedgerQuery query = {0};
	LedgerScope scope;
	int critical = 0;
	int warnings = 0;
	uint64 rows;

	if (storage_to_review(context->task) != NULL)
	{
		renew_storage_check();
		return;
	}
	bind_bigint(&query, context->run_id);
	ledger_enter(&scope);
	lock_last_validation();
	(void) ledger_query(&none, "DELETE FROM pgmaint_internal.last_validation");
	rows = ledger_query(
		&query,
		"WITH checks AS MATERIALIZED (SELECT v.* FROM pgmaint.validate() v), "
		"kept AS (INSERT INTO pgmaint_internal.last_validation (check_id, status) "
		"SELECT v.check_id, " WORST_STATUS
		" FROM checks v GROUP BY v.check_id) "
		"SELECT v.check_id, v.status, v.object, v.detail, "
		"pg_catalog.jsonb_build_object('expected', v.expected)::text AS expected "
		"FROM checks v WHERE (v.check_id <> 'storage' OR NOT EXISTS ("
		"SELECT FROM pgmaint.tasks t WHERE t.run_id = $1 AND t.action = 'validate' "
		"AND pg_catalog.quote_ident(t.evidence ->> 'storage') = v.object)) "
		/* every run reports it when it begins */
		"AND (v.check_id <> 'identity' OR NOT EXISTS (SELECT FROM pgmaint.findings f "
		"WHERE f.run_id = $1 AND f.check_id = 'identity' AND f.task_id IS NULL))");
	for (uint64 row = 0; row < rows; row++)
	{
		char *status = named_text(row, "status");

		if (strcmp(status, "ok") == 0)
			continue;
		if (strcmp(status, "critical") == 0)
			critical++;
		else
			warnings++;
		note_finding(&context->findings, named_text(row, "check_id"), status,
					 named_text(row, "object"), named_text(row, "detail"))
			->detail = named_text(row, "expected");
	}
	ledger_leave(&scope);
	context->result =
		psprintf("{\"checks\": %lld, \"warnings\": %d, \"critical\": %d}",
				 (long long) rows, warnings, critical);
}

static char *
describe_validation(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;

	initStringInfo(&words);
	if (result_has(result, "checks"))
	{
		int64 checks = result_number(result, "checks");
		int64 warnings = result_number(result, "warnings");
		int64 critical = result_number(result, "critical");

		appendStringInfo(
			&words, "%s of %s checks are ok, %s, %s critical",
			count_text(checks - warnings - critical), count_text(checks),
			counted(warnings, "warning", "warnings"), count_text(critical));
	}
	else
	{
		int64 known = result_number(result, "known");
		int64 archives = result_number(result, "archives_read");

		appendStringInfo(&words, "%s: %s of %s objects of the ledger found",
						 task->target,
						 count_text(known - result_number(result, "missing") -
									result_number(result, "differing")),
						 count_text(known));
		if (archives > 0)
			add_phrase(&words, psprintf("%s read", counted(archives, "archive",
														   "archives")));
	}
	return words.data;
}

DEFINE_ACTION(validate) = {
	.name = "validate",
	.description =
		"report the checks of pgmaint.validate() that are not ok, compare storages with the ledger, and read archives in turn",
	.options = options,
	.plan = plan_validate,
	.outside = execute_storage_review,
	.execute = execute_validate,
	.describe = describe_validation,
	.shown_as = SHOWN_WITH_STEP,
};
