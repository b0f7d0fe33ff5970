/*-------------------------------------------------------------------------
 *
 * scratch.c
 *	  The database that a backup is restored into, until it is good.
 *
 * Its name is random, so nobody else has made it; before it is made, a row in
 * pgmaint_internal.scratch_databases says so, and is committed.  Whatever ends the work
 * on it, the row is there until the database is gone, or has become what it was
 * to be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/* its headers are not installed everywhere */
#undef ENABLE_GSS

#include "access/xact.h"
#include "libpq/scram.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "backup/own_rows.h"
#include "backup/scratch.h"
#include "base/compat.h"
#include "base/random.h"
#include "exec/programs.h"
#include "exec/toplevel.h"

#define COLUMNS \
	"s.database::pg_catalog.text, s.role::pg_catalog.text, s.owner::pg_catalog.text"

#define NAME_BYTES 12
#define PASSWORD_BYTES 32

/*
 * It is used to log in before the restore and after it.  19 warns of passwords
 * that expire within seven days.
 */
#define ROLE_LIFETIME (10 * USECS_PER_DAY)

/* parallel workers count, too */
#define ROLE_CONNECTIONS 10

Scratch *
note_scratch(int64 task_id, Oid caller, bool alone)
{
	Scratch *scratch = palloc0(sizeof(Scratch));
	LedgerQuery query = {0};

	scratch->database =
		psprintf("pgmaint_%s_%s", alone ? "scratch" : "restore",
				 random_name(NAME_BYTES));
	scratch->role = alone ? pstrdup(scratch->database) : NULL;
	scratch->owner = GetUserNameFromId(caller, false);
	bind_text(&query, scratch->database);
	bind_text(&query, scratch->role);
	bind_text(&query, scratch->owner);
	bind_bigint(&query, task_id);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint_internal.scratch_databases (database, role, owner, task_id) "
		"VALUES ($1::pg_catalog.name, $2::pg_catalog.name, $3::pg_catalog.name, $4)");
	return scratch;
}

static List *
read_scratches(uint64 rows)
{
	List *scratches = NIL;

	for (uint64 row = 0; row < rows; row++)
	{
		Scratch *scratch = palloc0(sizeof(Scratch));

		scratch->database = named_text(row, "database");
		scratch->role = named_text(row, "role");
		scratch->owner = named_text(row, "owner");
		scratches = lappend(scratches, scratch);
	}
	return scratches;
}

List *
scratches_of_task(int64 task_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	return read_scratches(ledger_query(
		&query, "SELECT " COLUMNS " FROM pgmaint_internal.scratch_databases s "
				"WHERE s.task_id = $1 AND " OF_OWN_IDENTITY));
}

/*
 * Those that no task is at work on.
 */
List *
scratches_left(void)
{
	LedgerQuery query = {0};

	return read_scratches(ledger_query(
		&query, "SELECT " COLUMNS " FROM pgmaint_internal.scratch_databases s "
				"WHERE " OF_OWN_IDENTITY " AND " TASK_IS_OVER));
}

void
forget_scratch(const char *database)
{
	LedgerQuery query = {0};

	bind_text(&query, database);
	(void) ledger_query(
		&query,
		"DELETE FROM pgmaint_internal.scratch_databases WHERE database "
		"= $1::pg_catalog.name");
}

/*
 * The server is given what it would make of the password: so that this is in
 * no statement, and in no log.
 */
static char *
draw_password(Scratch *scratch)
{
	MemoryContext context = CurrentMemoryContext;
	char *verifier;

	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	scratch->password = random_name(PASSWORD_BYTES);
	verifier = pg_be_scram_build_secret(scratch->password);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return quote_literal_cstr(verifier);
}

static void
create_role(Scratch *scratch)
{
	const char *role = quote_identifier(scratch->role);
	MemoryContext context = CurrentMemoryContext;
	bool by_superuser;

	StartTransactionCommand();
	by_superuser = superuser();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	execute_at_top_level(psprintf(
		"CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE "
		"NOREPLICATION NOBYPASSRLS CONNECTION LIMIT %d VALID UNTIL %s "
		"PASSWORD %s",
		role, ROLE_CONNECTIONS,
		quote_literal_cstr(
			timestamptz_to_str(GetCurrentTimestamp() + ROLE_LIFETIME)),
		draw_password(scratch)));
	/* to end its sessions, when the database is dropped */
	if (!by_superuser)
		execute_at_top_level(
			psprintf("GRANT %s TO CURRENT_USER" GRANT_WITH_RIGHTS, role));
}

static void
append_option(StringInfo clause, const char *name, const char *value)
{
	if (value != NULL)
		appendStringInfo(clause, " %s %s", name, quote_literal_cstr(value));
}

/*
 * The locale as the manifest has it, in the words of this server.
 */
char *
locale_clause(const BackupDescription *description)
{
	const char *provider = description->locale_provider;
	StringInfoData clause;

	initStringInfo(&clause);
	append_option(&clause, "ENCODING", description->encoding);
	append_option(&clause, "LC_COLLATE", description->collate);
	append_option(&clause, "LC_CTYPE", description->ctype);
	if (provider == NULL || strcmp(provider, "c") == 0)
		appendStringInfoString(&clause, LOCALE_PROVIDER_LIBC);
	else if (strcmp(provider, "i") == 0)
	{
		appendStringInfoString(&clause, " LOCALE_PROVIDER icu");
		append_option(&clause, "ICU_LOCALE", description->locale);
		append_option(&clause, "ICU_RULES", description->icu_rules);
	}
	else if (strcmp(provider, "b") == 0)
	{
		appendStringInfoString(&clause, " LOCALE_PROVIDER builtin");
		append_option(&clause, "BUILTIN_LOCALE", description->locale);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("locale provider \"%s\" of the backed-up database is "
						"not supported by this server",
						provider)));
	return clause.data;
}

/*
 * Nobody gets in but its owner, the role that was made for it, and whom no server
 * keeps out: from the first moment, since until public's right is gone, none but a
 * superuser may connect.  The role may create objects, but owns no database: code
 * of a dump could tell every other database what it has read, by a comment or a
 * setting of its own database.
 */
void
create_scratch(Scratch *scratch, const BackupDescription *description)
{
	const char *database = quote_identifier(scratch->database);

	if (scratch->role != NULL)
		create_role(scratch);
	execute_at_top_level(
		psprintf("CREATE DATABASE %s TEMPLATE template0 OWNER %s "
				 "CONNECTION LIMIT 0%s",
				 database, quote_identifier(scratch->owner),
				 locale_clause(description)));
	execute_at_top_level(
		psprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC", database));
	if (scratch->role != NULL)
		execute_at_top_level(
			psprintf("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %s TO %s",
					 database, quote_identifier(scratch->role)));
	execute_at_top_level(
		psprintf("ALTER DATABASE %s CONNECTION LIMIT -1", database));
}

/*
 * A role may give itself settings, and code of a dump can do it: they would be in
 * force in every later session.  They are removed from outside, so that no session
 * has to begin with them.
 */
void
reset_scratch_role(const Scratch *scratch)
{
	const char *role = quote_identifier(scratch->role);

	execute_at_top_level(psprintf("ALTER ROLE %s RESET ALL", role));
	execute_at_top_level(psprintf("ALTER ROLE %s IN DATABASE %s RESET ALL",
								  role, quote_identifier(scratch->database)));
}

/*
 * A dump can prepare a transaction, which keeps its database from being dropped.
 * The scratch role ends its own: nobody with more rights connects to where the
 * dump has been.
 */
static void
end_prepared_transactions(const Scratch *scratch)
{
	static const char end[] =
		"SET search_path = pg_catalog, pg_temp;\n"
		"SELECT pg_catalog.format('ROLLBACK PREPARED %L', p.gid) "
		"FROM pg_catalog.pg_prepared_xacts p "
		"WHERE p.database = pg_catalog.current_database() \\gexec\n";
	Scratch own = *scratch;
	MemoryContext context = CurrentMemoryContext;

	reset_scratch_role(scratch);
	execute_at_top_level(psprintf("ALTER ROLE %s PASSWORD %s",
								  quote_identifier(own.role),
								  draw_password(&own)));
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	(void) run_psql(password_login(own.database, own.role, own.password), NULL,
					end);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

/*
 * Is the database there, and whose?
 */
static char *
owner_of_database(const char *database, bool *prepared, Oid extension)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	char *owner = NULL;

	ledger_begin(&scope, extension);
	bind_text(&query, database);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text, EXISTS ("
			"SELECT FROM pg_catalog.pg_prepared_xacts p "
			"WHERE p.database = d.datname) "
			"FROM pg_catalog.pg_database d "
			"WHERE d.datname = $1::pg_catalog.name") > 0)
	{
		owner = ledger_text(0, 1);
		*prepared = ledger_boolean(0, 2);
	}
	ledger_commit(&scope);
	return owner;
}

bool
drop_scratch(const Scratch *scratch, Oid extension)
{
	bool prepared = false;
	char *owner = owner_of_database(scratch->database, &prepared, extension);
	LedgerScope scope;

	if (owner != NULL && strcmp(owner, scratch->owner) != 0)
	{
		ereport(WARNING,
				(errmsg("database \"%s\" was not dropped: it belongs to role "
						"\"%s\", but was created for role \"%s\"",
						scratch->database, owner, scratch->owner)));
		return false;
	}
	if (prepared && scratch->role != NULL)
		end_prepared_transactions(scratch);
	if (owner != NULL)
		execute_at_top_level(
			psprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)",
					 quote_identifier(scratch->database)));
	if (scratch->role != NULL)
		execute_at_top_level(psprintf("DROP ROLE IF EXISTS %s",
									  quote_identifier(scratch->role)));
	ledger_begin(&scope, extension);
	forget_scratch(scratch->database);
	ledger_commit(&scope);
	return true;
}

void
drop_scratches_left(Oid extension)
{
	MemoryContext context = CurrentMemoryContext;
	LedgerScope scope;
	List *scratches;
	ListCell *cell;

	ledger_begin(&scope, extension);
	scratches = scratches_left();
	ledger_commit(&scope);
	foreach (cell, scratches)
	{
		PG_TRY();
		{
			(void) drop_scratch(lfirst(cell), extension);
		}
		PG_CATCH();
		{
			HOLD_INTERRUPTS();
			MemoryContextSwitchTo(context);
			EmitErrorReport();
			AbortCurrentTransaction();
			FlushErrorState();
			MemoryContextSwitchTo(context);
			RESUME_INTERRUPTS();
		}
		PG_END_TRY();
	}
}
