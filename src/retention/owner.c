/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Acting as the owner of a table, where the owner's code may run.
 *
 * A DELETE fires the owner's triggers, and a filter calls functions of the
 * owner's choice.  They run with the owner's rights, in a security-restricted
 * operation: nothing that they do can get back to the role that asked for the
 * run.  resume_caller() ends it, and so does an ERROR, with the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/snapmgr.h"

#include "base/settings.h"
#include "retention/owner.h"

void
become_table_owner(Oid owner, SavedRights *caller)
{
	assume_table_owner(owner, caller);
	pin_round_trip_settings();
}

/*
 * Check deferred constraints now instead of at commit, when their code would
 * run outside of the security-restricted operation.
 */
void
fire_constraints_at_once(void)
{
	ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);

	all->constraints = NIL;
	all->deferred = false;
	AfterTriggerSetState(all);
}

/*
 * Run a command that returns no rows; returns the number of rows it processed.
 */
uint64
execute_as_owner(Oid owner, const char *command)
{
	SavedRights caller;
	uint64 rows;

	become_table_owner(owner, &caller);
	fire_constraints_at_once();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(command, false, 0) < 0)
		elog(ERROR, "SPI_execute failed: %s",
			 SPI_result_code_string(SPI_result));
	rows = SPI_processed;
	SPI_finish();
	PopActiveSnapshot();
	resume_caller(&caller);
	return rows;
}
