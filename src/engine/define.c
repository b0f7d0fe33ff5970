/*-------------------------------------------------------------------------
 *
 * define.c
 *	  define_plan and drop_plan: plans of users.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "engine/actions.h"
#include "engine/plan.h"

PG_FUNCTION_INFO_V1(pgmaint_define_plan);
PG_FUNCTION_INFO_V1(pgmaint_drop_plan);

/*
 * Other roles run a plan by its name, with their own rights.  So only the role
 * that defined a plan may change it.  The caller is inside a ledger scope.
 */
static void
check_plan_is_ours(const char *plan, Oid role)
{
	LedgerQuery query = {0};
	char *owner;

	bind_text(&query, plan);
	if (superuser_arg(role) ||
		ledger_query(
			&query,
			"SELECT d.defined_by FROM pgmaint.plan_definitions d WHERE d.plan = $1") ==
			0)
		return;
	owner = ledger_text(0, 1);
	if (!has_privs_of_role(role, get_role_oid(owner, true)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change plan \"%s\"", plan),
				 errdetail("The plan was defined by role \"%s\".", owner)));
}

/*
 * The caller is inside a ledger scope.
 */
static bool
is_built_in(const char *plan)
{
	LedgerQuery query = {0};

	bind_text(&query, plan);
	return ledger_query(
			   &query,
			   "SELECT FROM pgmaint_internal.built_in_plans() b WHERE b.plan = $1") >
		   0;
}

/*
 * For the same reason only superusers may replace a built-in plan.
 */
static void
check_plan_is_not_built_in(const char *plan, Oid role)
{
	if (!superuser_arg(role) && is_built_in(plan))
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to replace the built-in plan \"%s\"",
					plan),
			 errhint("Define a plan with another name.")));
}

/*
 * A plan that was dropped may still be scheduled, and would run with the
 * rights of the role that scheduled it.  The caller is inside a ledger scope.
 */
static void
check_plan_is_not_scheduled(const char *plan, Oid role)
{
	LedgerQuery query = {0};

	bind_text(&query, plan);
	bind_oid(&query, role);
	if (superuser_arg(role) ||
		ledger_query(
			&query,
			"SELECT s.scheduled_by::text FROM pgmaint_internal.plan_schedules s "
			"WHERE s.plan = $1 AND NOT EXISTS (SELECT FROM pgmaint.plan_definitions d WHERE d.plan = $1) "
			"AND NOT coalesce((SELECT pg_catalog.pg_has_role($2, r.oid, 'USAGE') "
			"FROM pg_catalog.pg_roles r WHERE r.rolname = s.scheduled_by), false) LIMIT 1") ==
			0)
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied to define plan \"%s\"", plan),
					errdetail("The plan is scheduled by role \"%s\".",
							  ledger_text(0, 1)),
					errhint("Define a plan with another name.")));
}

/*
 * pgmaint.define_plan(plan text, steps jsonb) returns void
 *
 * Reports all mistakes in a plan now, not when it runs.
 */
Datum
pgmaint_define_plan(PG_FUNCTION_ARGS)
{
	char *plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	List *steps = parse_steps(plan, PG_GETARG_JSONB_P(1));
	Oid role = GetUserId();
	LedgerScope scope;
	LedgerQuery query = {0};

	PreventCommandDuringRecovery("pgmaint.define_plan()");
	PreventCommandIfReadOnly("pgmaint.define_plan()");
	if (plan[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("the name of a plan must not be empty")));
	if (find_action(plan) != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("a plan cannot be named \"%s\", which is an action", plan),
			 errhint("Choose another name.")));
	check_steps(steps);
	bind_text(&query, plan);
	bind_datum(&query, JSONBOID, JsonbPGetDatum(steps_to_jsonb(steps)));
	bind_text(&query, GetUserNameFromId(role, false));
	ledger_enter(&scope);
	check_plan_is_not_built_in(plan, role);
	check_plan_is_ours(plan, role);
	check_plan_is_not_scheduled(plan, role);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.plan_definitions (plan, steps, defined_by) VALUES ($1, $2, $3) "
		"ON CONFLICT (plan) DO UPDATE SET steps = excluded.steps, defined_by = excluded.defined_by, "
		"defined_at = excluded.defined_at");
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

/*
 * pgmaint.drop_plan(plan text) returns void
 */
Datum
pgmaint_drop_plan(PG_FUNCTION_ARGS)
{
	char *plan = text_to_cstring(PG_GETARG_TEXT_PP(0));
	LedgerScope scope;
	LedgerQuery query = {0};
	Oid role = GetUserId();

	PreventCommandDuringRecovery("pgmaint.drop_plan()");
	PreventCommandIfReadOnly("pgmaint.drop_plan()");
	bind_text(&query, plan);
	ledger_enter(&scope);
	check_plan_is_ours(plan, role);
	if (ledger_query(
			&query,
			"DELETE FROM pgmaint.plan_definitions WHERE plan = $1 RETURNING 1") ==
		0)
	{
		char *names;
		bool built_in = is_built_in(plan);

		(void) ledger_query(
			&query,
			"SELECT pg_catalog.string_agg(d.plan, ', ' ORDER BY d.plan) "
			"FROM pgmaint.plan_definitions d WHERE $1 IS NOT NULL");
		names = ledger_text(0, 1);
		ereport(ERROR,
				(errcode(built_in ? ERRCODE_WRONG_OBJECT_TYPE
								  : ERRCODE_UNDEFINED_OBJECT),
				 built_in
					 ? errmsg("plan \"%s\" is built in and cannot be dropped",
							  plan)
					 : errmsg("plan \"%s\" does not exist", plan),
				 names == NULL
					 ? errhint("No user has defined a plan in this database.")
					 : errhint("Plans that can be dropped are: %s.", names)));
	}
	ledger_leave(&scope);
	PG_RETURN_VOID();
}
