/*-------------------------------------------------------------------------
 *
 * error_text.c
 *	  An ERROR as one text, without values of rows.
 *
 * Errors are shown in pgmaint.tasks and pgmaint.findings, in reports and in
 * messages to contacts.  Their readers need no right to read the tables
 * concerned, so the text must not contain values of rows.  The SQLSTATE decides
 * which parts are kept:
 *
 * - the message, except in class 22: its parameters are invalid values, so the
 *   format of the message is kept instead; nothing is kept if there is no
 *   format, as in messages from parallel workers, other servers and other
 *   languages.  22023 is about arguments of functions, and is kept;
 * - the DETAIL of classes about objects, rights, statements and the server only:
 *   "Key (a)=(secret) already exists" has class 23, "Failing row contains" 23 or
 *   44, the DETAIL of a RAISE P0;
 * - the HINT;
 * - neither CONTEXT nor QUERY: lines of COPY, JSON and statements with constants
 *   contain values.  ledger/failure.c adds the functions that the CONTEXT names.
 *
 * The author of a function is responsible for the message of a RAISE.  The
 * server log has the complete error.
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
 * Does the message come from RAISE in PL/pgSQL?  Its format is "%s", like that
 * of errors that are passed on.
 */
static bool
is_raised(const ErrorData *error)
{
	return error->funcname != NULL &&
		   strcmp(error->funcname, "exec_stmt_raise") == 0;
}

/*
 * The message.  If its parameters may be values of rows, the format as it
 * stands in the source: invalid input syntax for type %s: "%s".
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
