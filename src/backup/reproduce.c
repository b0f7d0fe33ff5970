/*-------------------------------------------------------------------------
 *
 * reproduce.c
 *	  Whether a failed restore is the fault of the dump.
 *
 * pg_restore reports no SQLSTATE, and the text of an error is in the server's
 * language, or chosen by code in the dump.  So psql, which knows the SQLSTATE,
 * executes the failed entry again.  An error that does not occur again, or
 * that is an error of the server, does not count against the backup.
 *
 * Statements of the dump reach psql as data (\gexec), or as the argument of -c
 * with a space in front: in both cases psql sends them unchanged, and never
 * interprets them as its own commands.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "backup/entries.h"
#include "backup/reproduce.h"
#include "ledger/ledger.h"
#include "stream/compress.h"

#define PIECE ((size_t) 256 * 1024)
#define SQLSTATE_LENGTH 5

/* the settings of pg_restore */
#define RESTORE_SETTINGS                                      \
	"SET search_path = ''; SET check_function_bodies = off; " \
	"SET row_security = off; SET lock_timeout = '5min'"

/*
 * messages contain only a severity and an SQLSTATE, and no text that code in
 * the dump can choose
 */
#define SHORT_MESSAGES "-vVERBOSITY=sqlstate"

/*
 * By class or code: connections, read-only servers, logins, deadlocks,
 * resources, locks, intervention, system errors.  Internal errors are
 * included, since errors of files that have no SQLSTATE of their own are
 * internal errors.
 */
bool
is_server_error(const char *sqlstate)
{
	static const char *const states[] = {
		"08", "25006", "28", "40", "53", "55006", "55P03", "57", "58", "XX000",
	};

	for (int i = 0; i < lengthof(states); i++)
	{
		if (strncmp(sqlstate, states[i], strlen(states[i])) == 0)
			return true;
	}
	return false;
}

/*
 * Executing the entry again might take hours, so the count of sessions that
 * were terminated is checked first.  Sessions that ended with a FATAL error
 * prove nothing: the cancel request that pg_restore sends when it gives up can
 * end its own session in that way.
 */
static bool
session_was_ended(const char *database)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	bool ended;

	ledger_enter(&scope);
	bind_text(&query, database);
	ended = ledger_query(&query, "SELECT FROM pg_catalog.pg_stat_database d "
								 "WHERE d.datname = $1::pg_catalog.name "
								 "AND d.sessions_killed > 0") > 0;
	ledger_leave(&scope);
	return ended;
}

/*
 * pg_restore, whose language is fixed, names the entry by its number.  A
 * message from code in the dump can only name another entry, which does not
 * fail, or fails with its own error.
 */
static const DumpEntry *
find_failed_entry(const FailedRestore *failed)
{
	static const char clause[] = "pg_restore: from TOC entry ";
	const char *place = NULL;
	ListCell *cell;
	int dump_id;

	for (const char *next = strstr(failed->words, clause); next != NULL;
		 next = strstr(next + 1, clause))
		place = next;
	if (place == NULL)
		return NULL;
	dump_id = (int) strtol(place + strlen(clause), NULL, 10);
	foreach (cell, dump_file_entries(failed->dump))
	{
		const DumpEntry *entry = lfirst(cell);

		if (entry->dump_id == dump_id)
			return entry;
	}
	return NULL;
}

/*
 * psql stops at the first error, which is its last line.  A lost session ends
 * in a line without an SQLSTATE.
 */
const char *
sqlstate_of_psql(const ChildEnd *end)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *place = strrchr(end->words, ' ');

	if (end->succeeded)
		return "00000";
	if (place == NULL || strlen(place + 1) != SQLSTATE_LENGTH ||
		strspn(place + 1, digits) != SQLSTATE_LENGTH)
		return NULL;
	return pstrdup(place + 1);
}

/*
 * Does an entry, as pg_dump writes it, evaluate nothing that is defined in the
 * dump? Then its error is raised by the server itself.  Planning evaluates,
 * too: keys of partitioned tables are planned.
 */
static bool
evaluates_nothing(const DumpEntry *entry)
{
	static const char *const kinds[] = {
		"COLLATION", "COMMENT", "DOMAIN",	 "EXTENSION", "FUNCTION",
		"OPERATOR",	 "POLICY",	"PROCEDURE", "RULE",	  "SCHEMA",
		"SEQUENCE",	 "TRIGGER", "TYPE",		 "VIEW",
	};

	if (strcmp(entry->description, "TABLE") == 0)
		return strstr(entry->definition, "PARTITION BY") == NULL;
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(entry->description, kinds[i]) == 0)
			return true;
	}
	return false;
}

char *
message_of_psql(const ChildEnd *end)
{
	const char *message = strstr(end->words, "ERROR:  ");

	message = message == NULL ? end->words : message + strlen("ERROR:  ");
	return pnstrdup(message, strcspn(message, "\n"));
}

static void
execute_by_psql(const FailedRestore *failed, const char *verbosity,
				ChildEnd *end)
{
	(void) run_psql_script(
		failed->login, failed->settings,
		psprintf(RESTORE_SETTINGS
				 ";\n\\set VERBOSITY %s\n\\o /dev/null\nSELECT %s \\gexec\n",
				 verbosity,
				 quote_literal_cstr(in_our_encoding(
					 failed->dump, failed->entry->definition))),
		end);
}

/*
 * Executed once for the SQLSTATE, and once for the message.
 */
static const char *
execute_definition(FailedRestore *failed)
{
	ChildEnd end;
	const char *sqlstate;

	execute_by_psql(failed, "sqlstate", &end);
	sqlstate = sqlstate_of_psql(&end);
	if (sqlstate == NULL || strcmp(sqlstate, "00000") == 0 ||
		!evaluates_nothing(failed->entry))
		return sqlstate;
	execute_by_psql(failed, "default", &end);
	if (!end.succeeded)
		failed->message = message_of_psql(&end);
	return sqlstate;
}

static void
write_rows(void *child, const char *data, size_t length)
{
	(void) child_write(child, data, length);
}

/*
 * Feed the rows of one table to psql; the whole object is read for them.
 */
static void
feed_rows(const FailedRestore *failed, const DumpEntry *entry, Child *child)
{
	Source *content = decompressor_create(
		find_compression(failed->description->compression),
		storage_reader(failed->storage, failed->description->key));
	DumpFile *dump = dump_file_create();
	char *piece = palloc(PIECE);

	dump_file_take_data(dump, entry->dump_id, write_rows, child);
	PG_TRY();
	{
		size_t length;

		while ((length = source_read(content, piece, PIECE)) > 0)
			dump_file_feed(dump, piece, length);
	}
	PG_FINALLY();
	{
		source_close(content);
	}
	PG_END_TRY();
}

static const char *
copy_rows(const FailedRestore *failed, const DumpEntry *entry)
{
	const Login *login = failed->login;
	int encoding = dump_file_encoding(failed->dump);
	List *environment = login_environment(login, failed->settings);
	List *arguments = list_make5(
		pstrdup("-Xqwo/dev/null"), psprintf("-d%s", login->conninfo),
		pstrdup(SHORT_MESSAGES), pstrdup("-vON_ERROR_STOP=1"),
		pstrdup("-c" RESTORE_SETTINGS));
	Child *child;
	ChildEnd end;

	if (encoding >= 0)
		environment =
			lappend(environment, psprintf("PGCLIENTENCODING=%s",
										  pg_encoding_to_char(encoding)));
	if (login->role != NULL)
		arguments =
			lappend(arguments,
					psprintf("-cSET ROLE %s", quote_identifier(login->role)));
	arguments = lappend(arguments, psprintf("-c %s", entry->copy_statement));
	child = child_start(find_program("psql"), arguments, environment);
	feed_rows(failed, entry, child);
	child_wait(child, &end);
	return sqlstate_of_psql(&end);
}

const char *
reproduce_failure(FailedRestore *failed)
{
	const DumpEntry *entry = find_failed_entry(failed);

	failed->entry = entry;
	if (failed->database != NULL && session_was_ended(failed->database))
		return NULL;
	if (entry == NULL)
		return NULL;
	if (!entry->has_data)
		return entry->definition == NULL ? NULL : execute_definition(failed);
	if (entry->copy_statement == NULL || dump_file_compressed(failed->dump))
		return NULL;
	return copy_rows(failed, entry);
}
