/*-------------------------------------------------------------------------
 *
 * scratch.c
 *	  The database that a backup is restored into, until it is complete.
 *
 * The name of the database is random, so it belongs to no other session.
 * Before the database is created, a row in pgmaint_internal.scratch_databases
 * is committed.  The row is deleted when the database is dropped, or has got
 * its final name.
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
 * The role logs in before the restore and after it.  PostgreSQL 19 warns of
 * passwords that expire within seven days.
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
 * The scratch databases whose task has ended.
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
 * The server gets the SCRAM verifier of the password, so that the password is
 * in no statement and in no log.
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
	/* needed to terminate sessions of the role when the database is dropped */
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
 * The clauses of CREATE DATABASE for the locale in the manifest.
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
 * Only the owner of the database, the scratch role and superusers may connect:
 * until the right of PUBLIC is revoked, the connection limit of 0 admits only
 * superusers.  The role may create objects, but owns no database: code in a
 * dump could pass on rows to other databases by a comment or a setting of its
 * own database.
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
 * Code in a dump may change settings of its own role, which would apply to
 * each later session.  They are removed from outside, since a session to
 * remove them would start with them.
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
 * A dump can prepare a transaction, which keeps its database from being
 * dropped.  The scratch role rolls it back: a role with more rights must not
 * connect to a database in which code of the dump has run.
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
 * The owner of the database, NULL if it does not exist, and whether it has
 * prepared transactions.
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
