/*-------------------------------------------------------------------------
 *
 * restore_error.c
 *	  The description of a failed restore.
 *
 * Code in a dump can read all rows while they are restored, and chooses the
 * messages of its errors: what pg_restore prints may contain rows.  Readers of
 * the ledger and contacts need not have the right to see these.  So the
 * description names the failed entry and the SQLSTATE, and contains the
 * message only where the entry evaluates nothing that is defined in the dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "backup/restore_error.h"

/* names of common conditions, as in the documentation of PostgreSQL */
static const struct
{
	const char *sqlstate;
	const char *condition;
} conditions[] = {
	{"22P02", "invalid_text_representation"},
	{"25006", "read_only_sql_transaction"},
	{"23502", "not_null_violation"},
	{"23503", "foreign_key_violation"},
	{"23505", "unique_violation"},
	{"23514", "check_violation"},
	{"23P01", "exclusion_violation"},
	{"42501", "insufficient_privilege"},
	{"42704", "undefined_object"},
	{"42883", "undefined_function"},
	{"42P01", "undefined_table"},
	{"42P07", "duplicate_table"},
	{"42P10", "invalid_column_reference"},
	{"53100", "disk_full"},
	{"53200", "out_of_memory"},
	{"54001", "statement_too_complex"},
	{"55P03", "lock_not_available"},
	{"57014", "query_canceled"},
	{"P0001", "raise_exception"},
	{"XX000", "internal_error"},
};

static bool
begins_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/*
 * The output without the lines about progress, whose language is fixed.
 */
static char *
without_progress(const char *words)
{
	StringInfoData text;
	bool told = true;

	initStringInfo(&text);
	while (*words != '\0')
	{
		size_t length = strcspn(words, "\n");

		if (begins_with(words, "pg_restore: "))
			told = begins_with(words, "pg_restore: error: ") ||
				   begins_with(words, "pg_restore: warning: ");
		if (told)
			appendStringInfo(&text, "%s%.*s", text.len > 0 ? "\n" : "",
							 (int) length, words);
		words += length + (words[length] == '\n' ? 1 : 0);
	}
	return text.len == 0 ? pstrdup("no error output") : text.data;
}

/*
 * Did pg_restore fail before it reached an entry?
 */
static bool
has_restored_nothing(const char *words)
{
	return strstr(words, "pg_restore: creating ") == NULL &&
		   strstr(words, "pg_restore: processing ") == NULL &&
		   strstr(words, "pg_restore: executing ") == NULL &&
		   strstr(words, "TOC entry") == NULL;
}

static char *
name_entry(const FailedRestore *failed)
{
	const DumpEntry *entry = failed->entry;
	const char *schema = in_our_encoding(failed->dump, entry->schema);
	const char *tag =
		in_our_encoding(failed->dump, entry->tag ? entry->tag : "");

	if (schema == NULL || schema[0] == '\0')
		return psprintf("%s %s", entry->description, tag);
	return psprintf("%s %s.%s", entry->description, schema, tag);
}

char *
name_error(const char *sqlstate)
{
	for (int i = 0; i < lengthof(conditions); i++)
	{
		if (strcmp(conditions[i].sqlstate, sqlstate) == 0)
			return psprintf("error with SQLSTATE %s, %s", sqlstate,
							conditions[i].condition);
	}
	return psprintf("error with SQLSTATE %s", sqlstate);
}

char *
describe_restore_error(const FailedRestore *failed, const char *sqlstate)
{
	if (failed->entry != NULL && failed->message != NULL)
		return psprintf("pg_restore: %s: %s", name_entry(failed),
						failed->message);
	if (failed->entry != NULL)
		return psprintf("pg_restore: %s: %s (the server log has the message)",
						name_entry(failed),
						sqlstate == NULL || strcmp(sqlstate, "00000") == 0
							? "an error that did not occur again"
							: name_error(sqlstate));
	if (has_restored_nothing(failed->words))
		return without_progress(failed->words);
	return pstrdup(
		"pg_restore: error at an unknown entry (the server log has the message)");
}

void
log_restore_error(const FailedRestore *failed)
{
	ereport(LOG, (errmsg("could not restore \"%s\"", failed->description->key),
				  errdetail_log("%s", without_progress(failed->words))));
}
