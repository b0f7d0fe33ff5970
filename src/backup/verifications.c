/*-------------------------------------------------------------------------
 *
 * verifications.c
 *	  Executing the queries of verifications in a restored backup.
 *
 * The queries, and the code of the dump that they call, run as the role that
 * restored the dump, which has no rights elsewhere. psql gets a query as data
 * (\gexec), and never interprets it as its own command.  In the restored
 * database, the query is in parentheses, where the server allows only a
 * SELECT, and LIMIT ends it with the second row.
 *
 * An answer is a value of a row: messages, which readers of the ledger see,
 * contain it only if it is true, false, null or a count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "backup/reproduce.h"
#include "backup/restore_error.h"
#include "backup/verification_query.h"
#include "backup/verifications.h"
#include "ledger/ledger.h"

/* bytes of a query or an error in a message, and of the whole message */
#define MAX_TOLD 300
#define MAX_MESSAGE 5000

/*
 * %s: verbosity; with "sqlstate", code in the dump chooses nothing of standard
 * error except the SQLSTATE. %lld: milliseconds.
 */
static const char session[] = "\\set VERBOSITY %s\n"
							  "SET search_path = \"$user\", public;\n"
							  "SET standard_conforming_strings = on;\n"
							  "SET DateStyle = 'ISO, MDY';\n"
							  "SET TimeZone = 'UTC';\n"
							  "SET default_transaction_read_only = on;\n"
							  "SET statement_timeout = %lld;\n";

/*
 * The first query checks that there is one column, and returns no row.  Each
 * row of the second is a line, empty for null.
 */
static const char one_column[] = "SELECT (%s\n) LIMIT 0";
static const char answer[] =
	"SELECT pg_catalog.to_json(pg_catalog.left(answer::pg_catalog.text, 1001)) "
	"FROM (%s\n) AS q (answer) LIMIT 2";

/* one query, and what came of it */
typedef struct Answer
{
	int64 verification_id;
	char *query;
	char *expected;
	char *time_limit;
	int64 milliseconds; /* the same */
	bool counts;		/* does it return a count? */
	TimestampTz asked_at;
	int64 duration;		  /* milliseconds */
	char *json;			  /* what it returned; NULL: nothing */
	const char *sqlstate; /* NULL: there was no error, or no session */
	char *error;		  /* NULL: there is an answer */
	bool excused; /* true: the error does not count against the backup */
	/* as the ledger has read json */
	char *value; /* NULL: null */
	bool ok;
} Answer;

static char *
shorten(const char *text)
{
	int length = (int) strlen(text);
	int kept = pg_mbcliplen(text, length, MAX_TOLD);

	return kept == length ? pstrdup(text) : psprintf("%.*s...", kept, text);
}

/*
 * The verifications of a database; none for a backup of a part of the
 * database.
 */
static List *
read_verifications(const BackupDescription *description)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	List *list = NIL;
	uint64 count;

	bind_text(&query, description->database);
	bind_text(&query, description->manifest);
	ledger_enter(&scope);
	count = ledger_query(
		&query,
		"SELECT v.verification_id, v.query, v.expected, v.time_limit::pg_catalog.text, "
		"pg_catalog.ceil(greatest(least(EXTRACT(epoch FROM v.time_limit) * 1000, 2147483647), 1))::pg_catalog.int8 AS milliseconds "
		"FROM pgmaint.verifications v WHERE v.database = $1::pg_catalog.name "
		"AND coalesce($2::pg_catalog.json ->> 'selection', '') = '' ORDER BY v.verification_id");
	for (uint64 i = 0; i < count; i++)
	{
		Answer *one = palloc0(sizeof(Answer));

		one->verification_id = named_bigint(i, "verification_id");
		one->query = named_text(i, "query");
		one->expected = named_text(i, "expected");
		one->time_limit = named_text(i, "time_limit");
		one->milliseconds = named_bigint(i, "milliseconds");
		list = lappend(list, one);
	}
	ledger_leave(&scope);
	return list;
}

/*
 * Take the answer from the output, in which each row is a line.
 */
static void
read_rows(Answer *one, char *output)
{
	size_t length = strcspn(output, "\n");

	if (output[0] == '\0')
		one->error = pstrdup("the query returned no row");
	else if (output[length] == '\n' && output[length + 1] != '\0')
		one->error = pstrdup("the query returned more than one row");
	else
		one->json = pnstrdup(output, length);
}

/*
 * Does an error not count against the backup? That is so for errors of the
 * server, for missing rights of the role and, where the dump was not restored
 * completely, for missing objects.
 */
static bool
is_excused(const char *sqlstate, bool left_out)
{
	return is_server_error(sqlstate) || strcmp(sqlstate, "42501") == 0 ||
		   (left_out && (strncmp(sqlstate, "42", 2) == 0 ||
						 strncmp(sqlstate, "3F", 2) == 0));
}

static char *
execute(const Questioning *questioning, const Answer *one, const char *query,
		const char *verbosity, ChildEnd *end)
{
	StringInfoData script;

	initStringInfo(&script);
	appendStringInfo(&script, session, verbosity,
					 (long long) one->milliseconds);
	appendStringInfo(&script, "SELECT %s \\gexec\n",
					 quote_literal_cstr(psprintf(one_column, query)));
	appendStringInfo(&script, "SELECT %s \\gexec\n",
					 quote_literal_cstr(psprintf(answer, query)));
	return run_psql_script(questioning->login, questioning->settings,
						   script.data, end);
}

/*
 * A query that ends in an error is executed again for its message.
 */
static void
ask(const Questioning *questioning, Answer *one)
{
	SelectStmt *select;
	char *query = check_verification_query(one->query, &select);
	ChildEnd end;
	char *output;
	instr_time begun;
	instr_time ended;

	one->counts = returns_count(select);
	one->asked_at = GetCurrentTimestamp();
	INSTR_TIME_SET_CURRENT(begun);
	output = execute(questioning, one, query, "sqlstate", &end);
	INSTR_TIME_SET_CURRENT(ended);
	INSTR_TIME_SUBTRACT(ended, begun);
	one->duration = (int64) INSTR_TIME_GET_MILLISEC(ended);
	if (end.succeeded)
	{
		read_rows(one, output);
		return;
	}
	one->sqlstate = sqlstate_of_psql(&end);
	one->excused = one->sqlstate == NULL ||
				   is_excused(one->sqlstate, questioning->left_out);
	if (one->sqlstate == NULL)
		one->error = pstrdup(end.words[0] == '\0' ? end.status : end.words);
	else if (strcmp(one->sqlstate, "57014") == 0)
		one->error = pstrdup("the query was cancelled at its time limit");
	else
	{
		(void) execute(questioning, one, query, "default", &end);
		one->error = shorten(message_of_psql(&end));
	}
}

/*
 * Parse the answer, which is JSON so that it is one line, and compare it.
 */
static void
judge(Answer *one)
{
	LedgerQuery query = {0};
	LedgerScope scope;

	if (one->error != NULL)
		return;
	bind_text(&query, one->json[0] == '\0' ? NULL : one->json);
	bind_text(&query, one->expected);
	ledger_enter(&scope);
	(void) ledger_query(
		&query,
		"SELECT j.value, (SELECT pg_catalog.count(DISTINCT CASE w.word WHEN 't' THEN 'true' WHEN 'f' THEN 'false' ELSE w.word END) = 1 "
		"FROM (VALUES (coalesce(j.value, 'null')), ($2)) AS w (word)) "
		"FROM (SELECT $1::pg_catalog.json #>> '{}' AS value) AS j");
	one->value = ledger_text(0, 1);
	one->ok = ledger_boolean(0, 2);
	ledger_leave(&scope);
}

/*
 * The answer for a message; NULL if readers of the ledger must not see it.
 */
static const char *
answer_to_tell(const Answer *one)
{
	static const char *const words[] = {"true", "t", "false", "f"};

	if (one->value == NULL)
		return "null";
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strcmp(one->value, words[i]) == 0)
			return one->value;
	}
	if (one->counts && strlen(one->value) < 20 &&
		strspn(one->value, "0123456789") == strlen(one->value))
		return one->value;
	return NULL;
}

/*
 * Messages may be chosen by code in the dump, so only readers of
 * pgmaint.verification_results see them.
 */
static const char *
error_to_tell(const Answer *one)
{
	if (one->sqlstate == NULL)
		return one->error;
	return psprintf("%s (pgmaint.verification_results has the message)",
					name_error(one->sqlstate));
}

static char *
append_clause(char *before, const char *clause)
{
	static const char more[] = "; ...";

	if (before == NULL)
		return pstrdup(clause);
	if (strlen(before) < MAX_MESSAGE)
		return psprintf("%s; %s", before, clause);
	if (strcmp(before + strlen(before) - strlen(more), more) == 0)
		return before;
	return psprintf("%s%s", before, more);
}

static void
conclude(Questioning *questioning, const Answer *one)
{
	const char *told = answer_to_tell(one);
	char *query = shorten(one->query);
	long long number = (long long) one->verification_id;

	if (one->excused)
		questioning->unanswered = append_clause(
			questioning->unanswered,
			psprintf(
				"verification %lld was not answered (time limit %s): %s: %s",
				number, one->time_limit, error_to_tell(one), query));
	else if (one->error != NULL)
		questioning->refusal = append_clause(
			questioning->refusal, psprintf("verification %lld failed: %s: %s",
										   number, error_to_tell(one), query));
	else if (!one->ok && told != NULL)
		questioning->refusal = append_clause(
			questioning->refusal,
			psprintf("verification %lld answered %s, but %s was expected: %s",
					 number, told, shorten(one->expected), query));
	else if (!one->ok)
		questioning->refusal = append_clause(
			questioning->refusal,
			psprintf("verification %lld did not answer %s as expected (see "
					 "pgmaint.verification_results for the answer): %s",
					 number, shorten(one->expected), query));
}

void
ask_verifications(Questioning *questioning)
{
	ListCell *cell;

	questioning->answers = read_verifications(questioning->description);
	if (questioning->answers == NIL)
		return;
	pgstat_report_activity(STATE_RUNNING,
						   "executing the queries of verifications");
	foreach (cell, questioning->answers)
	{
		Answer *one = lfirst(cell);

		ask(questioning, one);
		judge(one);
		conclude(questioning, one);
	}
}

static void
record_answer(const Questioning *questioning, const Answer *one)
{
	LedgerQuery query = {0};

	bind_bigint(&query, one->verification_id);
	bind_bigint(&query, questioning->backup_id);
	bind_bigint(&query, questioning->run_id);
	bind_bigint(&query, questioning->task_id);
	bind_datum(&query, TIMESTAMPTZOID, TimestampTzGetDatum(one->asked_at));
	bind_text(&query, one->query);
	bind_text(&query, one->expected);
	bind_text(&query, one->value);
	if (one->excused)
		bind_null(&query, BOOLOID);
	else
		bind_boolean(&query, one->error == NULL && one->ok);
	bind_text(&query, one->error);
	bind_double(&query, (double) one->duration / 1000);
	(void) ledger_query(
		&query,
		"INSERT INTO pgmaint.verification_results (verification_id, backup_id, run_id, task_id, "
		"asked_at, query, expected, answer, ok, error, duration) "
		"VALUES ($1, nullif($2, 0), $3, $4, $5, $6, $7, pg_catalog.left($8, 1000), $9, $10, "
		"pg_catalog.make_interval(secs => $11))");
}

void
record_answers(const Questioning *questioning, Oid extension)
{
	LedgerScope scope;
	ListCell *cell;

	if (questioning->answers == NIL)
		return;
	ledger_begin(&scope, extension);
	foreach (cell, questioning->answers)
		record_answer(questioning, lfirst(cell));
	ledger_commit(&scope);
	if (questioning->refusal == NULL && questioning->unanswered != NULL)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("%s", questioning->unanswered)));
}
