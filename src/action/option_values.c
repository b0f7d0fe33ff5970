/*-------------------------------------------------------------------------
 *
 * option_values.c
 *	  Values of options in JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "action/option_values.h"

/*
 * A value of a JSON object, or NULL.  A JSON null counts as absent.
 */
JsonbValue *
json_field(Jsonb *given, const char *name)
{
	JsonbValue key;
	JsonbValue *value;

	if (given == NULL)
		return NULL;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	value = findJsonbValueFromContainer(&given->root, JB_FOBJECT, &key);
	if (value != NULL && value->type == jbvNull)
		return NULL;
	return value;
}

/*
 * A field that is a string; NULL if there is none.
 */
char *
json_string(Jsonb *given, const char *name)
{
	JsonbValue *value = json_field(given, name);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Is the field there, and true?
 */
bool
json_flag(Jsonb *given, const char *name)
{
	JsonbValue *value = json_field(given, name);

	return value != NULL && value->type == jbvBool && value->val.boolean;
}

/*
 * A scalar as text; NULL for arrays and objects.
 */
char *
json_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return numeric_normalize(value->val.numeric);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return NULL;
	}
}

/*
 * A name or an array of names as a list of strings; NIL for anything else.
 */
List *
json_names(JsonbValue *value)
{
	List *names = NIL;
	JsonbIterator *iterator;
	JsonbValue element;
	JsonbIteratorToken token;

	if (value->type == jbvString)
		return list_make1(json_text(value));
	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return NIL;
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type != jbvString)
			return NIL;
		names = lappend(names, json_text(&element));
	}
	return names;
}

/*
 * An interval, or a number of seconds, as seconds.
 */
double
seconds_of(const char *text)
{
	Interval *interval = DatumGetIntervalP(
		DirectFunctionCall3(interval_in, CStringGetDatum(text),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

	return (double) interval->time / USECS_PER_SEC +
		   (interval->day + (double) interval->month * DAYS_PER_MONTH) *
			   SECS_PER_DAY;
}
