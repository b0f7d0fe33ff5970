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
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "retention/owner.h"

/*
 * Values are written so that they read back as the same values, whatever the
 * session that does so is set to; names are looked up nowhere but where they
 * say.
 */
static const struct
{
	const char *name;
	const char *value;
} settings[] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"timezone", "UTC"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	{"row_security", "off"},
};

/*
 * For the rest of the present nest level of settings.
 */
void
set_round_trip_settings(void)
{
	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
}

void
become_table_owner(Oid owner, Identity *caller)
{
	assume_table_owner(owner, caller);
	set_round_trip_settings();
}

/*
 * What stands in the transaction's way is said now, and not when it commits:
 * then it would be the owner's code no longer that is bound by the restriction.
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
 * Run a command that returns no rows; returns how many it has worked on.
 */
uint64
execute_as_owner(Oid owner, const char *command)
{
	Identity caller;
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
