/*-------------------------------------------------------------------------
 *
 * error_text.c
 *	  An ERROR as one text, without values of rows.
 *
 * Errors end up in pgmaint.tasks and pgmaint.findings, in reports and in
 * messages to contacts.  Those who read them need no right to read the tables
 * that the errors are about, so no value of a row may get there.  The SQLSTATE
 * decides what is kept, never the wording:
 *
 * - the message, but for class 22: its parameters are the values that could not
 *   be used, so that the message stands without them, or, where it comes from a
 *   parallel worker, another server or another language, and has no format, not
 *   at all.  22023 is about the arguments of a function, and is kept whole;
 * - the DETAIL only of classes that are about objects, rights, statements and
 *   the server: "Key (a)=(secret) already exists" has class 23, "Failing row
 *   contains" 23 or 44, the DETAIL of a RAISE P0;
 * - the HINT, which is advice;
 * - neither CONTEXT nor QUERY: the lines of COPY, of JSON and of statements with
 *   constants have values.  The functions that the CONTEXT names are told by
 *   ledger/failure.c.
 *
 * What a function's author writes into the message of a RAISE is the author's to
 * answer for.  The server log has everything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/error_text.h"

/* the classes whose DETAIL has no values of rows */
static const int classes_with_detail[] = {
	ERRCODE_CONNECTION_EXCEPTION,
	ERRCODE_FEATURE_NOT_SUPPORTED,
	ERRCODE_INVALID_TRANSACTION_STATE,
	ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	ERRCODE_DEPENDENT_PRIVILEGE_DESCRIPTORS_STILL_EXIST,
	ERRCODE_INVALID_CATALOG_NAME,
	ERRCODE_INVALID_SCHEMA_NAME,
	ERRCODE_TRANSACTION_ROLLBACK,
	ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
	ERRCODE_INSUFFICIENT_RESOURCES,
	ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	ERRCODE_OPERATOR_INTERVENTION,
	ERRCODE_SYSTEM_ERROR,
	ERRCODE_CONFIG_FILE_ERROR,
	ERRCODE_FDW_ERROR,
	ERRCODE_INTERNAL_ERROR,
};

static bool
detail_is_kept(int sqlstate)
{
	if (sqlstate == ERRCODE_INVALID_PARAMETER_VALUE)
		return true;
	for (int i = 0; i < (int) lengthof(classes_with_detail); i++)
	{
		if (ERRCODE_TO_CATEGORY(sqlstate) ==
			ERRCODE_TO_CATEGORY(classes_with_detail[i]))
			return true;
	}
	return false;
}

/*
 * The message of a RAISE in PL/pgSQL, which is its author's?  Its format is "%s",
 * as it is of what others pass on.
 */
static bool
is_raised(const ErrorData *error)
{
	return error->funcname != NULL &&
		   strcmp(error->funcname, "exec_stmt_raise") == 0;
}

/*
 * The message.  Where its parameters may be values of rows, the format is told
 * instead, as it stands in the source: invalid input syntax for type %s: "%s".
 */
char *
message_without_values(const ErrorData *error)
{
	if (error->message == NULL)
		return pstrdup("missing error text");
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) !=
			ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		error->sqlerrcode == ERRCODE_INVALID_PARAMETER_VALUE ||
		is_raised(error))
		return pstrdup(error->message);
	if (error->message_id == NULL || strcmp(error->message_id, "%s") == 0)
		return psprintf(
			"error with SQLSTATE %s (the server log has the message)",
			unpack_sql_state(error->sqlerrcode));
	if (strchr(error->message_id, '%') == NULL)
		return pstrdup(error->message);
	return psprintf("%s (the server log has the values)", error->message_id);
}

char *
text_with_hint(const char *text, const char *hint)
{
	return hint == NULL ? pstrdup(text) : psprintf("%s; HINT: %s", text, hint);
}

char *
error_text(const ErrorData *error)
{
	char *text = message_without_values(error);

	if (error->detail != NULL && detail_is_kept(error->sqlerrcode))
		text = psprintf("%s; %s", text, error->detail);
	return text_with_hint(text, error->hint);
}
