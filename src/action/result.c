/*-------------------------------------------------------------------------
 *
 * result.c
 *	  What a task wrote into its result, for putting it into words.
 *
 * Nothing here raises an error for what is missing or of another type: words
 * must not make a task fail that is done.
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
 * 0 where there is none.
 */
int64
result_number(Jsonb *result, const char *name)
{
	return (int64) rint(result_fraction(result, name));
}

/*
 * 0 where there is none.  Sizes and counts are exact up to 2^53.
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
 * Is it there, and true?
 */
bool
result_flag(Jsonb *result, const char *name)
{
	return json_flag(result, name);
}

/*
 * Empty where there is none.
 */
char *
result_text(Jsonb *result, const char *name)
{
	char *text = json_string(result, name);

	return text != NULL ? text : pstrdup("");
}

/*
 * Add to a list of phrases, which commas set apart.
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
