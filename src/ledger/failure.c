/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  An ERROR as the cause of a failure, with the functions in which it was
 *	  raised.
 *
 * Triggers, index expressions, defaults and checks call functions of users.  The
 * CONTEXT of an ERROR names them, but also contains statements and lines of
 * data, and values of rows cannot be recognized in every language.  So the
 * CONTEXT itself is left out; only functions of the catalog that it names are
 * added.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/error_text.h"
#include "ledger/failure.h"
#include "ledger/ledger.h"

/* the number of functions of users that are named, innermost first */
#define NAMED_FUNCTIONS "5"

/*
 * PL/pgSQL shows its functions with the types of their arguments, and with or
 * without the schema, depending on search_path when they were compiled; SQL
 * and other languages show the bare name.  Returns the functions and the
 * commands that would give each a search_path; false if there are none.
 */
static bool
find_functions(const char *context, char **functions, char **commands)
{
	LedgerQuery query = {0};

	bind_text(&query, context);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg('function ' || x.signature, ', ' ORDER BY x.place, x.signature), "
		"pg_catalog.string_agg(pg_catalog.format('ALTER ROUTINE %s SET search_path = %I, pg_temp', "
		"x.signature, x.nspname), '; ' ORDER BY x.place, x.signature) "
		"FROM (SELECT q.signature, q.nspname, p.place FROM ("
		"SELECT f.oid::pg_catalog.regprocedure::pg_catalog.text AS signature, n.nspname, f.proname, "
		"l.lanname NOT IN ('c', 'internal', 'plpgsql') AS bare "
		"FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace "
		"JOIN pg_catalog.pg_language l ON l.oid = f.prolang "
		"WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', " OWN_SCHEMAS
		") "
		"AND pg_catalog.strpos($1, f.proname) > 0) q "
		"CROSS JOIN LATERAL (VALUES (q.signature, false), "
		"(pg_catalog.substr(q.signature, pg_catalog.length(pg_catalog.quote_ident(q.nspname)) + 2), false), "
		"(CASE WHEN q.bare THEN q.proname::pg_catalog.text END, true)) AS s (name, bare) "
		"CROSS JOIN LATERAL (SELECT pg_catalog.strpos($1, s.name) AS place) p "
		"WHERE p.place > 0 AND pg_catalog.substr($1, p.place - 1, 1) !~ '[[:alnum:]_.$]' "
		"AND (NOT s.bare OR pg_catalog.substr($1, p.place + pg_catalog.length(s.name), 1) !~ '[[:alnum:]_.$(]') "
		"ORDER BY p.place, q.signature LIMIT " NAMED_FUNCTIONS ") x");
	*functions = ledger_text(0, 1);
	*commands = ledger_text(0, 2);
	return *functions != NULL;
}

/*
 * Was a name not found?  pgmaint's sessions have search_path pinned, so a
 * function that depends on another one does not find its objects.
 */
static bool
is_about_missing_name(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
			return true;
		default:
			return false;
	}
}

char *
describe_failure(const ErrorData *error)
{
	char *text = error_text(error);
	char *functions;
	char *commands;

	if (error->context == NULL ||
		!find_functions(error->context, &functions, &commands))
		return text;
	if (is_about_missing_name(error->sqlerrcode))
		text = text_with_hint(
			text,
			psprintf(
				"Functions run with search_path = pg_catalog, pg_temp "
				"in runs of pgmaint: qualify the names in the function, or execute %s.",
				commands));
	return psprintf("%s; CONTEXT: %s", text, functions);
}
