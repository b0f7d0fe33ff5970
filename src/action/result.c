/*-------------------------------------------------------------------------
 *
 * result.c
 *	  Fields of a task's result, from which its outcome is described.
 *
 * These functions raise no error for fields that are absent or of another type:
 * the description must not make a task fail that has succeeded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "action/option_values.h"
#include "action/result.h"
#include "base/wording.h"

bool
result_has(Jsonb *result, const char *name)
{
	return json_field(result, name) != NULL;
}

/*
 * 0 if there is no such number.
 */
int64
result_number(Jsonb *result, const char *name)
{
	return (int64) rint(result_fraction(result, name));
}

/*
 * 0 if there is no such number.  Sizes and counts are exact up to 2^53.
 */
double
result_fraction(Jsonb *result, const char *name)
{
	JsonbValue *value = json_field(result, name);

	if (value == NULL || value->type != jbvNumeric)
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(
		numeric_float8, NumericGetDatum(value->val.numeric)));
}

/*
 * Is the field there, and true?
 */
bool
result_flag(Jsonb *result, const char *name)
{
	return json_flag(result, name);
}

/*
 * Empty if there is no such text.
 */
char *
result_text(Jsonb *result, const char *name)
{
	char *text = json_string(result, name);

	return text != NULL ? text : pstrdup("");
}

/*
 * Append to a list of phrases, which commas separate.
 */
void
add_phrase(StringInfo phrases, const char *phrase)
{
	appendStringInfo(phrases, "%s%s", phrases->len > 0 ? ", " : "", phrase);
}

void
add_removed_rows(StringInfo phrases, Jsonb *result)
{
	int64 rows = result_number(result, DEAD_ROWS_BEFORE) -
				 result_number(result, DEAD_ROWS_AFTER);

	if (rows > 0)
		add_phrase(phrases, psprintf("%s removed",
									 counted(rows, "dead row", "dead rows")));
}

void
add_returned_bytes(StringInfo phrases, Jsonb *result)
{
	int64 bytes = result_number(result, RETURNED_BYTES);

	if (bytes > 0)
		add_phrase(phrases, psprintf("%s returned to the file system",
									 size_text(bytes)));
}
