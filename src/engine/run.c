/*-------------------------------------------------------------------------
 *
 * run.c
 *	  The functions run, run_action, cancel and tick.
 *
 * None of them waits.  A request is a row, written in the caller's transaction,
 * which the leader finds after the commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "engine/launch.h"
#include "engine/missed.h"
#include "engine/plan.h"
#include "engine/run.h"
#include "engine/waiting.h"
#include "ledger/connections.h"
#include "ledger/identity.h"
#include "ledger/queue.h"
#include "ledger/statements.h"
#include "objects/storage_names.h"
#include "notify/outbox.h"

PG_FUNCTION_INFO_V1(pgmaint_run);
PG_FUNCTION_INFO_V1(pgmaint_run_action);
PG_FUNCTION_INFO_V1(pgmaint_cancel);
PG_FUNCTION_INFO_V1(pgmaint_tick);

/*
 * Raise an error if a run could not work.
 */
void
check_run_is_possible(const char *function)
{
	Oid role = GetUserId();
	HeapTuple tuple;
	bool may_login;

	if (RecoveryInProgress())
		ereport(
			ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("%s cannot be executed on a standby", function),
			 errhint(
				 "Call the function on the primary.  Functions that only read, such as pgmaint.table_bloat(), work on a standby.")));
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	if (InSecurityRestrictedOperation())
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg(
				 "%s cannot be executed within a security-restricted operation",
				 function)));

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", role);
	may_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!may_login && !WORKER_MAY_BYPASS_LOGIN)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg(
				 "role \"%s\" cannot run maintenance because it is not permitted to log in",
				 GetUserNameFromId(role, false)),
			 errdetail(
				 "Before PostgreSQL 17, a background worker can act only as a role with LOGIN."),
			 errhint("Call the function as a role that can log in.")));
}

/*
 * Queue a run of these steps as the current user, or join a queued one.
 */
static int64
queue_steps(const char *plan, Jsonb *options, List *steps)
{
	LedgerScope scope;
	Oid role = GetUserId();
	char *role_name = GetUserNameFromId(role, false);
	Jsonb *resolved = steps_to_jsonb(steps);
	int64 run_id;
	bool joined;

	ledger_enter(&scope);
	(void) ensure_identity();
	run_id = add_run(plan, options, role, role_name, resolved, &joined);
	ledger_leave(&scope);
	if (joined)
		launch_leader_at_end();
	else
		launch_leader_at_commit(false);
	return run_id;
}

/*
 * Queue a run of a plan: the common part of run() and run_and_wait().
 */
int64
queue_run(const char *function, const char *plan, Jsonb *options)
{
	check_run_is_possible(function);
	return queue_steps(plan, options, steps_of_plan(plan, options));
}

/*
 * pgmaint.run(plan text, options jsonb) returns bigint
 */
Datum
pgmaint_run(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the plan must not be null")));
	PG_RETURN_INT64(queue_run("pgmaint.run()",
							  text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1)));
}

/*
 * pgmaint.run_action(action text, options jsonb) returns bigint
 */
Datum
pgmaint_run_action(PG_FUNCTION_ARGS)
{
	Jsonb *options = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	char *action;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the action must not be null")));
	action = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check_run_is_possible("pgmaint.run_action()");
	PG_RETURN_INT64(
		queue_steps(action, options, step_of_action(action, options)));
}

/*
 * pgmaint.cancel(run_id bigint) returns boolean
 *
 * Returns true if the run had not ended: the leader, which this function wakes
 * or starts, interrupts the running commands.
 */
Datum
pgmaint_cancel(PG_FUNCTION_ARGS)
{
	int64 run_id = PG_GETARG_INT64(0);
	Oid role = GetUserId();
	LedgerScope scope;
	Run run;
	char *state;
	bool unfinished;

	PreventCommandDuringRecovery("pgmaint.cancel()");
	PreventCommandIfReadOnly("pgmaint.cancel()");
	ledger_enter(&scope);
	if (!read_run(run_id, &run))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("run %lld does not exist", (long long) run_id)));
	if (!superuser_arg(role) && !has_privs_of_role(role, run.role))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to cancel run %lld",
							   (long long) run_id),
						errdetail("The run belongs to role \"%s\".",
								  run.requested_by)));
	state = read_run_state(run_id, NULL);
	unfinished = strcmp(state, "queued") == 0 || strcmp(state, "running") == 0;
	if (unfinished)
		add_cancellation(run_id, GetUserNameFromId(role, false));
	ledger_leave(&scope);
	if (unfinished)
		launch_leader_at_end();
	PG_RETURN_BOOL(unfinished);
}

/*
 * pgmaint.tick() returns boolean
 *
 * Starts a leader if a run was left queued because no worker slot was free, or
 * was left running by a crash, after which the leader updates the ledger.
 * Interrupted runs are queued again, here or, if the interruption is not
 * recorded yet, by the leader.  Because it is called often, tick also samples
 * connections and statements.
 *
 * A crash ends the leaders that would start those of waiting databases: this
 * database's leader does it instead, even if it has no other work.
 */
Datum
pgmaint_tick(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	bool unfinished;
	bool messages;

	PreventCommandDuringRecovery("pgmaint.tick()");
	PreventCommandIfReadOnly("pgmaint.tick()");
	ledger_enter(&scope);
	(void) ensure_identity();
	follow_storage_names(false);
	note_missed_schedules(0);
	resume_interrupted_runs();
	sample_connections();
	(void) snapshot_statements(0, "6 hours");
	unfinished = unfinished_runs_exist();
	messages = escalation_is_due();
	ledger_leave(&scope);
	if (unfinished || find_waiting_databases() != NIL)
		launch_leader_at_commit(true);
	if (messages)
		launch_messenger_at_commit();
	PG_RETURN_BOOL(unfinished);
}
