/*-------------------------------------------------------------------------
 *
 * wording.c
 *	  Sizes, durations and names as text for people.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/wording.h"

PG_FUNCTION_INFO_V1(pgmaint_one_line);

/*
 * In the format of pg_size_pretty().
 */
char *
size_text(int64 bytes)
{
	return text_to_cstring(DatumGetTextPP(
		DirectFunctionCall1(pg_size_pretty, Int64GetDatum(bytes))));
}

/*
 * A number with commas between groups of three digits.
 */
char *
count_text(int64 number)
{
	char digits[32];
	char *text = palloc(sizeof(digits) * 2);
	char *end = text;
	int length = snprintf(digits, sizeof(digits), "%lld", (long long) number);

	for (int i = 0; i < length; i++)
	{
		if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
			*end++ = ',';
		*end++ = digits[i];
	}
	*end = '\0';
	return text;
}

/*
 * A number with its noun in the singular or plural.
 */
char *
counted(int64 number, const char *one, const char *more)
{
	return psprintf("%s %s", count_text(number), number == 1 ? one : more);
}

char *
duration_text(int64 milliseconds)
{
	int64 seconds = milliseconds / 1000;

	if (seconds < 60)
		return psprintf("%.1f s", (double) milliseconds / 1000);
	if (seconds < 3600)
		return psprintf("%d min %02d s", (int) (seconds / 60),
						(int) (seconds % 60));
	return psprintf("%lld h %02d min", (long long) seconds / 3600,
					(int) (seconds / 60 % 60));
}

/*
 * Length of the control character at a position, 0 if there is none: those of
 * ASCII, and in UTF-8 the 32 from U+0080 on, which terminals obey, too.
 */
static int
control_character_length(const char *text)
{
	const unsigned char *byte = (const unsigned char *) text;

	if ((byte[0] >= 1 && byte[0] < ' ') || byte[0] == 0x7f)
		return 1;
	if (GetDatabaseEncoding() == PG_UTF8 && byte[0] == 0xc2 &&
		byte[1] >= 0x80 && byte[1] <= 0x9f)
		return 2;
	return 0;
}

/*
 * A text in which a space replaces each sequence of control characters.  Names
 * may contain line breaks, and the rest of such a name would look like a line
 * of pgmaint's own in a report, a message or a header.
 */
char *
one_line(const char *text)
{
	char *result = palloc(strlen(text) + 1);
	char *end = result;

	while (*text != '\0')
	{
		int length = control_character_length(text);

		if (length == 0)
		{
			*end++ = *text++;
			continue;
		}
		while ((length = control_character_length(text)) > 0)
			text += length;
		*end++ = ' ';
	}
	*end = '\0';
	return result;
}

/*
 * pgmaint.one_line(text) returns text
 */
Datum
pgmaint_one_line(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(
		cstring_to_text(one_line(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}
