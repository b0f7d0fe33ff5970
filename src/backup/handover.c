/*-------------------------------------------------------------------------
 *
 * handover.c
 *	  Properties, rights and name of a restored database.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "backup/handover.h"
#include "base/subtransaction.h"

/* renaming, for try_in_subtransaction() */
typedef struct Renaming
{
	const char *database;
	const char *owner;
	const char *name;
	const char *old_name;
} Renaming;

/*
 * Execute a command with the rights of the caller.
 */
static void
execute(void *command)
{
	MemoryContext context = CurrentMemoryContext;
	int result;

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	result = SPI_execute(command, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	SPI_finish();
	PopActiveSnapshot();
	MemoryContextSwitchTo(context);
}

/*
 * The value of a list setting is written as a list of literals, as in
 * pg_dump's own commands.
 */
static char *
setting_command(const char *database, const BackupSetting *setting)
{
	StringInfoData command;
	List *elements;
	ListCell *cell;
	bool first = true;

	initStringInfo(&command);
	if (setting->role == NULL)
		appendStringInfo(&command, "ALTER DATABASE %s",
						 quote_identifier(database));
	else
		appendStringInfo(&command, "ALTER ROLE %s IN DATABASE %s",
						 quote_identifier(setting->role),
						 quote_identifier(database));
	/* the parts of a setting of an extension are names, too */
	appendStringInfoString(&command, " SET ");
	for (const char *part = setting->name; part != NULL;)
	{
		const char *dot = strchr(part, '.');

		appendStringInfoString(
			&command,
			quote_identifier(
				dot == NULL ? part : pnstrdup(part, (Size) (dot - part))));
		if (dot != NULL)
			appendStringInfoChar(&command, '.');
		part = dot == NULL ? NULL : dot + 1;
	}
	appendStringInfoString(&command, " TO ");
	if ((GetConfigOptionFlags(setting->name, true) & GUC_LIST_QUOTE) == 0 ||
		!SplitGUCList(pstrdup(setting->value), ',', &elements) ||
		elements == NIL)
		elements = list_make1(setting->value);
	foreach (cell, elements)
	{
		appendStringInfo(&command, "%s%s", first ? "" : ", ",
						 quote_literal_cstr(lfirst(cell)));
		first = false;
	}
	return command.data;
}

static List *
try_command(List *failures, char *command)
{
	ErrorData *error = try_unless_stopped(execute, command);

	if (error == NULL)
		return failures;
	return lappend(failures, psprintf("%s: %s", command, error->message));
}

/*
 * The statements name the backed-up database.  A statement of another form
 * than pg_dump writes is not executed.
 */
static List *
grant_rights(List *failures, const char *database,
			 const BackupDescription *description, const char *rights)
{
	char *object =
		psprintf(" ON DATABASE %s ", quote_identifier(description->database));
	char *statement = pstrdup(rights);

	while (statement != NULL && statement[0] != '\0')
	{
		char *end = strstr(statement, ";\n");
		char *found;

		if (end != NULL)
			*end = '\0';
		found = strstr(statement, object);
		if (found != NULL && strchr(statement, ';') == NULL &&
			(strncmp(statement, "GRANT ", 6) == 0 ||
			 strncmp(statement, "REVOKE ", 7) == 0))
			failures = try_command(
				failures,
				psprintf("%.*s ON DATABASE %s %s", (int) (found - statement),
						 statement, quote_identifier(database),
						 found + strlen(object)));
		else
			failures = lappend(failures, pstrdup(statement));
		statement = end == NULL ? NULL : end + 2;
	}
	return failures;
}

List *
restore_database_properties(const char *database,
							const BackupDescription *description,
							const char *rights)
{
	const char *name = quote_identifier(database);
	List *failures = NIL;
	ListCell *cell;

	foreach (cell, description->settings)
		failures =
			try_command(failures, setting_command(database, lfirst(cell)));
	/* code in the dump may have changed the comment */
	failures = try_command(
		failures, psprintf("COMMENT ON DATABASE %s IS %s", name,
						   description->comment == NULL
							   ? "NULL"
							   : quote_literal_cstr(description->comment)));
	failures = try_command(
		failures,
		psprintf("GRANT CONNECT, TEMPORARY ON DATABASE %s TO PUBLIC", name));
	if (rights != NULL)
		failures = grant_rights(failures, database, description, rights);
	if (description->connection_limit >= 0)
		failures = try_command(
			failures, psprintf("ALTER DATABASE %s CONNECTION LIMIT %d", name,
							   description->connection_limit));
	return failures;
}

static void
rename_both(void *argument)
{
	const Renaming *renaming = argument;
	const char *name = quote_identifier(renaming->name);

	if (renaming->owner != NULL)
		execute(psprintf("ALTER DATABASE %s OWNER TO %s",
						 quote_identifier(renaming->database),
						 quote_identifier(renaming->owner)));
	if (renaming->old_name != NULL)
		execute(psprintf("ALTER DATABASE %s RENAME TO %s", name,
						 quote_identifier(renaming->old_name)));
	execute(psprintf("ALTER DATABASE %s RENAME TO %s",
					 quote_identifier(renaming->database), name));
}

/*
 * ALTER DATABASE RENAME waits some seconds for other sessions to end, with a
 * lock that keeps new sessions out.  It is not tried while the database is in
 * use.
 */
static bool
is_in_use(const char *database)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	bool used;

	ledger_enter(&scope);
	bind_text(&query, database);
	used =
		ledger_query(
			&query,
			"SELECT WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_activity a "
			"WHERE a.datname = $1::pg_catalog.name AND a.backend_type <> 'autovacuum worker') "
			"OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts p "
			"WHERE p.database = $1::pg_catalog.name)") > 0;
	ledger_leave(&scope);
	return used;
}

bool
rename_database(const char *database, const char *owner, const char *name,
				const char *old_name)
{
	Renaming renaming = {database, owner, name, old_name};
	ErrorData *error;

	if (old_name != NULL && is_in_use(name))
		return false;
	error = try_in_subtransaction(rename_both, &renaming);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_OBJECT_IN_USE)
		ReThrowError(error);
	return false;
}

char *
name_sessions(const char *database)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	char *sessions;

	ledger_enter(&scope);
	bind_text(&query, database);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(pg_catalog.format('%s (process %s%s)', coalesce(a.usename, 'no role'), a.pid, "
		"CASE WHEN a.application_name <> '' THEN ', ' || a.application_name END), ', ') "
		"FROM (SELECT * FROM pg_catalog.pg_stat_activity WHERE datname = $1::pg_catalog.name "
		"ORDER BY backend_start LIMIT 10) AS a");
	sessions = ledger_text(0, 1);
	ledger_leave(&scope);
	return sessions == NULL ? pstrdup("sessions that have ended since")
							: sessions;
}
