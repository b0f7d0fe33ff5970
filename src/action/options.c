/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The options of actions: their definition, checks, and values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/regproc.h"
#include "utils/varlena.h"

#include "action/option_values.h"
#include "action/options.h"
#include "base/compat.h"
#include "action/step_settings.h"

/* options are shorter, to prevent overflows of times */
#define MAX_SECONDS 1e9

const ActionOption *
find_option(const ActionOption *options, const char *name)
{
	for (; options->name != NULL; options++)
	{
		if (strcmp(options->name, name) == 0)
			return options;
	}
	return NULL;
}

/*
 * The names of all options, for hints.
 */
char *
list_options(const ActionOption *options)
{
	StringInfoData names;

	initStringInfo(&names);
	for (; options->name != NULL; options++)
		if (options->server <= SERVER_MAJOR)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 options->name);
	return names.data;
}

/*
 * The valid values of an option, for a hint.
 */
const char *
option_kind_name(const ActionOption *option)
{
	switch (option->kind)
	{
		case OPTION_BOOLEAN:
			return "true or false";
		case OPTION_INTEGER:
			return psprintf("an integer from %.0f to %.0f", option->minimum,
							option->maximum);
		case OPTION_NUMBER:
			return psprintf("a number from %g to %g", option->minimum,
							option->maximum);
		case OPTION_BYTES:
			return "a number of bytes, or text such as \"8 MB\"";
		case OPTION_DURATION:
			return "a number of seconds, or text such as \"1 hour\"";
		case OPTION_CHOICE:
			return psprintf("one of: %s", option->choices);
		case OPTION_SWITCH:
			return "one of: auto, on, off";
		case OPTION_TEXT:
			return "text";
		case OPTION_NAMES:
			return "a name or an array of names";
		case OPTION_RELATIONS:
			return "the name of a table or an array of names";
		case OPTION_SETTINGS:
			return "an object of settings";
	}
	return NULL;
}

static void
complain(const char *action, const ActionOption *option,
		 const JsonbValue *value)
{
	char *text = json_text(value);

	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 text != NULL
			 ? errmsg(
				   "invalid value for option \"%s\" of action \"%s\": \"%s\"",
				   option->name, action, text)
			 : errmsg("invalid value for option \"%s\" of action \"%s\"",
					  option->name, action),
		 errhint("The value must be %s.", option_kind_name(option))));
}

/*
 * Is the word one of the comma-separated choices?
 */
static bool
is_choice(const char *choices, const char *word)
{
	List *words;
	ListCell *cell;

	if (!SplitIdentifierString(pstrdup(choices), ',', &words))
		return false;
	foreach (cell, words)
	{
		if (strcmp(lfirst(cell), word) == 0)
			return true;
	}
	return false;
}

/*
 * Relations must exist and be of a kind that maintenance applies to.
 */
static void
check_relations(const char *action, const ActionOption *option,
				const List *names)
{
	ListCell *cell;

	foreach (cell, names)
	{
		char *name = lfirst(cell);
		RangeVar *range = makeRangeVarFromNameList(
			textToQualifiedNameList(cstring_to_text(name)));
		Oid relation = RangeVarGetRelid(range, NoLock, false);
		char kind = get_rel_relkind(relation);

		if (kind != RELKIND_RELATION && kind != RELKIND_MATVIEW &&
			kind != RELKIND_PARTITIONED_TABLE)
			ereport(
				ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or materialized view", name),
				 errhint(
					 "Name only tables, partitioned tables and materialized "
					 "views in option \"%s\" of action \"%s\".",
					 option->name, action)));
	}
}

/*
 * A number, or text with units; the server's own error says what is wrong with
 * the text, and which units are valid.
 */
static void
check_quantity(const char *action, const ActionOption *option,
			   JsonbValue *value)
{
	char *text = json_text(value);
	double quantity;

	if (text == NULL || value->type == jbvBool)
		complain(action, option, value);
	if (option->kind == OPTION_BYTES)
		quantity = (double) DatumGetInt64(
			DirectFunctionCall1(pg_size_bytes, CStringGetTextDatum(text)));
	else
		quantity = seconds_of(text);
	if (quantity < 0 ||
		(option->kind == OPTION_DURATION && quantity > MAX_SECONDS))
		complain(action, option, value);
}

/*
 * Refuse invalid values before any work starts.
 */
static void
check_value(const char *action, const ActionOption *option, JsonbValue *value)
{
	char *text = json_text(value);
	double number;

	switch (option->kind)
	{
		case OPTION_BOOLEAN:
			if (value->type != jbvBool)
				complain(action, option, value);
			break;
		case OPTION_INTEGER:
		case OPTION_NUMBER:
			if (value->type != jbvNumeric)
				complain(action, option, value);
			number = DatumGetFloat8(DirectFunctionCall1(
				numeric_float8, NumericGetDatum(value->val.numeric)));
			if (number < option->minimum || number > option->maximum ||
				(option->kind == OPTION_INTEGER &&
				 number != (double) (int64) number))
				complain(action, option, value);
			break;
		case OPTION_BYTES:
		case OPTION_DURATION:
			check_quantity(action, option, value);
			break;
		case OPTION_CHOICE:
			if (value->type != jbvString || !is_choice(option->choices, text))
				complain(action, option, value);
			break;
		case OPTION_SWITCH:
			if (value->type != jbvBool && (value->type != jbvString ||
										   !is_choice("auto, on, off", text)))
				complain(action, option, value);
			break;
		case OPTION_NAMES:
			if (json_names(value) == NIL)
				complain(action, option, value);
			break;
		case OPTION_TEXT:
			if (value->type != jbvString || value->val.string.len == 0)
				complain(action, option, value);
			break;
		case OPTION_RELATIONS:
			if (json_names(value) == NIL)
				complain(action, option, value);
			check_relations(action, option, json_names(value));
			break;
		case OPTION_SETTINGS:
			if (value->type != jbvBinary ||
				!JsonContainerIsObject(value->val.binary.data))
				complain(action, option, value);
			check_settings(value);
			break;
	}
}

void
check_options(const char *action, const ActionOption *options, Jsonb *given)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue element;

	if (given == NULL)
		return;
	iterator = JsonbIteratorInit(&given->root);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		const ActionOption *option;
		char *name;

		if (token != WJB_KEY)
			continue;
		name = json_text(&element);
		option = find_option(options, name);
		if (option == NULL)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized option \"%s\" for action \"%s\"", name,
						action),
				 options[0].name == NULL
					 ? errhint("Remove the option: the action has no options.")
					 : errhint("Valid options are: %s.",
							   list_options(options))));
		if (option->server > SERVER_MAJOR)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("option \"%s\" of action \"%s\" requires "
								   "PostgreSQL %d or later",
								   name, action, option->server),
							errhint("Remove the option.")));
		/* its value comes next */
		(void) JsonbIteratorNext(&iterator, &element, true);
		if (element.type != jbvNull)
			check_value(action, option, &element);
	}
}

bool
option_given(Jsonb *given, const char *name)
{
	return json_field(given, name) != NULL;
}

/*
 * A scalar option as text; NULL if it has neither a value nor a default.
 */
char *
option_text(const ActionOption *options, Jsonb *given, const char *name)
{
	const ActionOption *option = find_option(options, name);
	JsonbValue *value = json_field(given, name);

	Assert(option != NULL);
	if (value != NULL)
		return json_text(value);
	return option->fallback == NULL ? NULL : pstrdup(option->fallback);
}

bool
option_boolean(const ActionOption *options, Jsonb *given, const char *name)
{
	char *text = option_text(options, given, name);

	return text != NULL && strcmp(text, "true") == 0;
}

double
option_number(const ActionOption *options, Jsonb *given, const char *name)
{
	return DatumGetFloat8(DirectFunctionCall1(
		float8in, CStringGetDatum(option_text(options, given, name))));
}

int64
option_integer(const ActionOption *options, Jsonb *given, const char *name)
{
	return (int64) option_number(options, given, name);
}

int64
option_bytes(const ActionOption *options, Jsonb *given, const char *name)
{
	return DatumGetInt64(DirectFunctionCall1(
		pg_size_bytes,
		CStringGetTextDatum(option_text(options, given, name))));
}

double
option_seconds(const ActionOption *options, Jsonb *given, const char *name)
{
	return seconds_of(option_text(options, given, name));
}

/*
 * A list of strings, NIL when the option is not given.
 */
List *
option_names(Jsonb *given, const char *name)
{
	JsonbValue *value = json_field(given, name);

	return value == NULL ? NIL : json_names(value);
}
