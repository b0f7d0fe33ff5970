/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The options of actions: which there are, checking and reading them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/regproc.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "actions/options.h"
#include "base/settings.h"

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
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 options->name);
	return names.data;
}

/*
 * What an option's value has to be, for a person.
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
			return "a text";
		case OPTION_NAMES:
			return "a name or an array of names";
		case OPTION_RELATIONS:
			return "the name of a table or an array of names";
		case OPTION_SETTINGS:
			return "an object of settings";
	}
	return NULL;
}

/*
 * A value of a JSON object, or NULL.  JSON's null counts as not there.
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
 * A scalar as text; NULL for arrays and objects.
 */
static char *
scalar_text(const JsonbValue *value)
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

static void
complain(const char *action, const ActionOption *option,
		 const JsonbValue *value)
{
	char *text = scalar_text(value);

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
 * A name or an array of names as a list of strings; NIL for anything else.
 */
static List *
name_list(JsonbValue *value)
{
	List *names = NIL;
	JsonbIterator *iterator;
	JsonbValue element;
	JsonbIteratorToken token;

	if (value->type == jbvString)
		return list_make1(scalar_text(value));
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
		names = lappend(names, scalar_text(&element));
	}
	return names;
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

/* what an option can take is shorter, so that no clock overflows */
#define MAX_SECONDS 1e9

/*
 * An interval, or a number of seconds, as seconds.
 */
static double
seconds_of(const char *text)
{
	Interval *interval = DatumGetIntervalP(
		DirectFunctionCall3(interval_in, CStringGetDatum(text),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

	return (double) interval->time / USECS_PER_SEC +
		   (interval->day + (double) interval->month * DAYS_PER_MONTH) *
			   SECS_PER_DAY;
}

/*
 * Relations must exist and be such that maintenance has something to do.
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
				 errhint("Option \"%s\" of action \"%s\" takes tables, "
						 "partitioned tables and materialized views.",
						 option->name, action)));
	}
}

/*
 * Settings must exist, must be the caller's to set, and must not be among
 * those that keep workers safe.
 */
static void
walk_settings(JsonbValue *value, bool apply)
{
	JsonbIterator *iterator = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue element;

	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		char *name;
		char *text;

		if (token != WJB_KEY)
			continue;
		name = scalar_text(&element);
		/* its value comes next */
		(void) JsonbIteratorNext(&iterator, &element, true);
		text = scalar_text(&element);
		if (text == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("setting \"%s\" must be text, a number, "
								   "true or false",
								   name)));
		if (setting_is_pinned(name))
			ereport(
				ERROR,
				(errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
				 errmsg("setting \"%s\" cannot be changed for a step", name),
				 errhint("Task workers keep it at a value that is safe; "
						 "for lock_timeout, set pgmaint.lock_timeout "
						 "before the call.")));
		(void) set_config_option(
			name, text, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
			GUC_ACTION_SET, apply, ERROR, false);
	}
}

/*
 * A number, or text with units: what is wrong with the text, and which units
 * there are, the server says itself.
 */
static void
check_quantity(const char *action, const ActionOption *option,
			   JsonbValue *value)
{
	char *text = scalar_text(value);
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
 * Refuse what an action does not know, before any work starts.
 */
static void
check_value(const char *action, const ActionOption *option, JsonbValue *value)
{
	char *text = scalar_text(value);
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
			if (name_list(value) == NIL)
				complain(action, option, value);
			break;
		case OPTION_TEXT:
			if (value->type != jbvString || value->val.string.len == 0)
				complain(action, option, value);
			break;
		case OPTION_RELATIONS:
			if (name_list(value) == NIL)
				complain(action, option, value);
			check_relations(action, option, name_list(value));
			break;
		case OPTION_SETTINGS:
			if (value->type != jbvBinary ||
				!JsonContainerIsObject(value->val.binary.data))
				complain(action, option, value);
			walk_settings(value, false);
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
		name = scalar_text(&element);
		option = find_option(options, name);
		if (option == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized option \"%s\" for action \"%s\"",
							name, action),
					 options[0].name == NULL
						 ? errhint("It has no options.")
						 : errhint("Valid options are: %s.",
								   list_options(options))));
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
 * A scalar option as text; NULL when it has neither value nor fallback.
 */
char *
option_text(const ActionOption *options, Jsonb *given, const char *name)
{
	const ActionOption *option = find_option(options, name);
	JsonbValue *value = json_field(given, name);

	Assert(option != NULL);
	if (value != NULL)
		return scalar_text(value);
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

	return value == NULL ? NIL : name_list(value);
}

/*
 * Bring this session to the settings of a step; checked when it was queued.
 */
void
apply_settings(Jsonb *given)
{
	JsonbValue *value = json_field(given, "settings");

	if (value != NULL)
		walk_settings(value, true);
}
