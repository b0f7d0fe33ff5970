/*-------------------------------------------------------------------------
 *
 * backup_options.c
 *	  The options of the action "backup", and the arguments of pg_dump that
 *	  they stand for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/json.h"

#include "action/headroom.h"
#include "backup/backup_options.h"
#include "base/settings.h"

const ActionOption backup_options[] = {
	PLAIN_OPTION("storage", OPTION_TEXT, "pgmaint_local",
				 "storage for the backups"),
	PLAIN_OPTION("databases", OPTION_NAMES, NULL,
				 "databases to back up; default: the database of the run"),
	PLAIN_OPTION(
		"all_databases", OPTION_BOOLEAN, "false",
		"back up every database of the server that allows connections"),
	PLAIN_OPTION("schemas", OPTION_NAMES, NULL,
				 "dump only schemas that match these pg_dump patterns"),
	PLAIN_OPTION("exclude_schemas", OPTION_NAMES, NULL,
				 "leave out schemas that match these pg_dump patterns"),
	PLAIN_OPTION("tables", OPTION_NAMES, NULL,
				 "dump only tables that match these pg_dump patterns"),
	PLAIN_OPTION("exclude_tables", OPTION_NAMES, NULL,
				 "leave out tables that match these pg_dump patterns"),
	PLAIN_OPTION("exclude_table_data", OPTION_NAMES, NULL,
				 "dump the definition, but not the rows, of tables that "
				 "match these pg_dump patterns"),
	PLAIN_OPTION("exclude_secrets", OPTION_BOOLEAN, "false",
				 "leave out user mappings and subscriptions, whose options "
				 "may contain passwords in plain text"),
	PLAIN_OPTION("globals", OPTION_BOOLEAN, "true",
				 "also back up roles and tablespaces, as a separate object"),
	PLAIN_OPTION("role_passwords", OPTION_BOOLEAN, "false",
				 "include the hashed passwords of roles"),
	PLAIN_OPTION("key", OPTION_TEXT, NULL,
				 "key of the objects, with the placeholders {plan}, "
				 "{database}, {identity} and {time}; default: "
				 "{plan}/backup-{time}-{identity}, or "
				 "{plan}/{database}/backup-{time}-{identity} for several "
				 "databases"),
	CHOICE_OPTION("compression", "gzip, zstd, none", "gzip",
				  "compression method of the objects"),
	RANGE_OPTION(
		"compression_level", OPTION_INTEGER, 1, 9, NULL,
		"from 1 (fastest) to 9 (smallest); default: 1 for gzip, 3 for zstd"),
	RANGE_OPTION("retries", OPTION_INTEGER, 0, 20, "3",
				 "number of retries of a backup that failed"),
	PLAIN_OPTION("retry_delay", OPTION_DURATION, "1 minute",
				 "wait before the first retry; the wait doubles with each "
				 "further retry"),
	MIN_FREE_OPTION,
	END_OF_OPTIONS,
};

/*
 * an option that selects a part, and the argument of pg_dump for each of its
 * names
 */
static const struct
{
	const char *option;
	const char *argument;
} selections[] = {
	{"schemas", "--schema="},
	{"exclude_schemas", "--exclude-schema="},
	{"tables", "--table="},
	{"exclude_tables", "--exclude-table="},
	{"exclude_table_data", "--exclude-table-data="},
};

/* pgmaint sets these arguments itself, and relies on their values */
static const char *const unwanted[] = {
	"-F", "--format", "-f", "--file",	  "-Z", "--compress", "-j", "--jobs",
	"-d", "--dbname", "-E", "--encoding", "-W", "--password"};

const CompressionMethod *
backup_compression(Jsonb *given, int *level)
{
	char *name = option_text(backup_options, given, "compression");
	const CompressionMethod *method = find_compression(name);

	if (method == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("this build does not support compression with %s", name),
			 errhint("Set the option \"compression\" to one of: %s.",
					 compression_names())));
	*level =
		option_given(given, "compression_level")
			? (int) option_integer(backup_options, given, "compression_level")
			: method->default_level;
	if (*level > method->maximum_level)
		*level = method->maximum_level;
	return method;
}

/*
 * The words of pgmaint.pg_dump_options; an ERROR for those that pgmaint sets
 * itself.
 */
static List *
more_arguments(void)
{
	char **words;
	int count = 0;
	List *arguments = NIL;

	if (pgmaint_pg_dump_options == NULL || pgmaint_pg_dump_options[0] == '\0')
		return NIL;
	words = palloc(sizeof(char *) * (strlen(pgmaint_pg_dump_options) + 2));
	pg_split_opts(words, &count, pgmaint_pg_dump_options);
	for (int i = 0; i < count; i++)
	{
		for (int j = 0; j < lengthof(unwanted); j++)
		{
			size_t length = strlen(unwanted[j]);
			bool word = unwanted[j][1] == '-';

			if (strncmp(words[i], unwanted[j], length) == 0 &&
				(!word || words[i][length] == '\0' || words[i][length] == '='))
				ereport(
					ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg(
						 "setting pgmaint.pg_dump_options must not contain %s",
						 unwanted[j]),
					 errhint(
						 "Remove this option; pgmaint sets the format, "
						 "output, compression and connection of pg_dump.")));
		}
		arguments = lappend(arguments, words[i]);
	}
	return arguments;
}

/*
 * The selection is recorded with the backup: a backup of a part of a database
 * belongs to another series than a backup of the whole.
 */
char *
backup_selection(Jsonb *given)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int i = 0; i < lengthof(selections); i++)
	{
		List *names = option_names(given, selections[i].option);
		ListCell *cell;

		if (names == NIL)
			continue;
		appendStringInfo(&json, "%s\"%s\": [", json.len > 0 ? ", " : "{",
						 selections[i].option);
		foreach (cell, names)
		{
			if (cell != list_head(names))
				appendStringInfoString(&json, ", ");
			escape_json(&json, lfirst(cell));
		}
		appendStringInfoChar(&json, ']');
	}
	if (more_arguments() != NIL)
	{
		appendStringInfoString(&json, json.len > 0 ? ", " : "{");
		appendStringInfoString(&json, "\"pg_dump_options\": ");
		escape_json(&json, pgmaint_pg_dump_options);
	}
	if (json.len == 0)
		return NULL;
	appendStringInfoChar(&json, '}');
	return json.data;
}

List *
dump_arguments(Jsonb *given)
{
	List *arguments = NIL;

	for (int i = 0; i < lengthof(selections); i++)
	{
		List *names = option_names(given, selections[i].option);
		ListCell *cell;

		foreach (cell, names)
			arguments =
				lappend(arguments, psprintf("%s%s", selections[i].argument,
											(char *) lfirst(cell)));
	}
	/* a name that matches nothing is an error, not a smaller backup */
	if (arguments != NIL)
		arguments = lappend(arguments, pstrdup("--strict-names"));
	return list_concat(arguments, more_arguments());
}

List *
globals_arguments(Jsonb *given)
{
	if (option_boolean(backup_options, given, "role_passwords"))
		return NIL;
	return list_make1(pstrdup("--no-role-passwords"));
}
