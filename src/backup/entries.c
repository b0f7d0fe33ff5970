/*-------------------------------------------------------------------------
 *
 * entries.c
 *	  Selection of the entries of a dump that are restored.
 *
 * In a scratch database, only entries that a role without rights may create
 * are restored.  Entries that need a superuser are left out, with all entries
 * that depend on them according to the dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "backup/entries.h"

typedef enum Fate
{
	RESTORED,
	PASSED_OVER, /* the object exists already, or the entry creates no object */
	LEFT_OUT	 /* entries that depend on it are left out, too */
} Fate;

/* these need a superuser, or a right that only a superuser can grant */
static const char *const for_superusers[] = {
	"EVENT TRIGGER",   "FOREIGN DATA WRAPPER", "SERVER",
	"USER MAPPING",	   "FOREIGN TABLE",		   "OPERATOR CLASS",
	"OPERATOR FAMILY", "ACCESS METHOD",		   "PROCEDURAL LANGUAGE",
	"TRANSFORM",	   "TEXT SEARCH PARSER",   "TEXT SEARCH TEMPLATE",
	"SHELL TYPE",
};

/* these connect the database to other servers, and would begin to work */
static const char *const links[] = {
	"SUBSCRIPTION",
	"SUBSCRIPTION TABLE",
};

static const char *const publications[] = {
	"PUBLICATION",
	"PUBLICATION TABLE",
	"PUBLICATION TABLES IN SCHEMA",
};

static bool
is_one_of(const char *text, const char *const *list, int length)
{
	for (int i = 0; i < length; i++)
	{
		if (strcmp(text, list[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_in(const char *text, const List *list)
{
	ListCell *cell;

	foreach (cell, list)
	{
		if (strcmp(text, lfirst(cell)) == 0)
			return true;
	}
	return false;
}

static bool
is_kind(const DumpEntry *entry, const char *kind)
{
	return strcmp(entry->description, kind) == 0;
}

char *
in_our_encoding(const DumpFile *dump, const char *text)
{
	int encoding = dump_file_encoding(dump);

	if (text == NULL)
		return NULL;
	return pg_any_to_server(text, (int) strlen(text),
							encoding < 0 ? PG_SQL_ASCII : encoding);
}

/*
 * Does a function change settings that the role may not set? head is its
 * definition from the language to the body, where pg_dump writes each setting
 * on a separate line.
 */
static bool
sets_more_than(const char *head, const List *settings)
{
	static const char clause[] = "\n    SET ";

	while ((head = strstr(head, clause)) != NULL)
	{
		char *name;

		head += strlen(clause);
		head += head[0] == '"' ? 1 : 0;
		name = pnstrdup(head, strcspn(head, "\" \n"));
		if (!is_in(name, settings))
			return true;
	}
	return false;
}

/*
 * Does CREATE FUNCTION need a superuser, by the clauses before the body?
 */
static bool
takes_superuser(const DumpEntry *entry, const EntryChoice *choice)
{
	static const char clause[] = "\n    LANGUAGE ";
	const char *language = strstr(entry->definition, clause);
	const char *body;
	char *head;
	size_t length;

	if (language == NULL)
		return true;
	body = strstr(language, "\n    AS ");
	language += strlen(clause);
	head = pnstrdup(language, body == NULL ? strlen(language)
										   : (size_t) (body - language));
	if (strstr(head, " LEAKPROOF") != NULL ||
		strstr(head, " SUPPORT ") != NULL ||
		sets_more_than(head, choice->settings))
		return true;
	length = strcspn(head, " \n;");
	head[length] = '\0';
	return !is_in(head, choice->languages);
}

/*
 * Creating a cast requires ownership of one of its types.
 */
static bool
depends_on_any(const DumpEntry *entry, const Bitmapset *ids)
{
	ListCell *cell;

	foreach (cell, entry->dependencies)
	{
		if (bms_is_member(lfirst_int(cell), ids))
			return true;
	}
	return false;
}

static bool
is_beyond_rights(const DumpEntry *entry, const EntryChoice *choice,
				 const Bitmapset *types)
{
	const char *definition = entry->definition;

	if (is_one_of(entry->description, for_superusers,
				  lengthof(for_superusers)) ||
		is_one_of(entry->description, publications, lengthof(publications)))
		return true;
	if (definition == NULL)
		return false;
	if (is_kind(entry, "FUNCTION") || is_kind(entry, "PROCEDURE"))
		return takes_superuser(entry, choice);
	if (is_kind(entry, "AGGREGATE"))
		return strstr(definition, "TYPE = internal") != NULL;
	/* base types, and those that were never defined */
	if (is_kind(entry, "TYPE"))
		return strstr(definition, "INTERNALLENGTH = ") != NULL ||
			   strstr(definition, " AS ") == NULL;
	if (is_kind(entry, "CAST"))
		return strstr(definition, "WITHOUT FUNCTION") != NULL ||
			   !depends_on_any(entry, types);
	return false;
}

static bool
names_missing_role(const DumpEntry *entry, const EntryChoice *choice)
{
	ListCell *cell;

	if (!is_kind(entry, "POLICY") || entry->definition == NULL)
		return false;
	foreach (cell, choice->missing_roles)
	{
		if (strstr(entry->definition, quote_identifier(lfirst(cell))) != NULL)
			return true;
	}
	return false;
}

/*
 * The tag of a comment or an ACL begins with the kind of its object.
 */
static bool
is_about(const DumpEntry *entry, const char *kind)
{
	size_t length = strlen(kind);

	return (is_kind(entry, "COMMENT") || is_kind(entry, "ACL") ||
			is_kind(entry, "SECURITY LABEL")) &&
		   entry->tag != NULL && strncmp(entry->tag, kind, length) == 0 &&
		   entry->tag[length] == ' ';
}

/*
 * Do the rows belong to a table of an extension that was not created? The dump
 * does not say which extension a table belongs to.
 */
static bool
has_no_table(const DumpEntry *entry, const char *schema, const char *tag,
			 const EntryChoice *choice, const Bitmapset *known)
{
	if (choice->without_extensions == NIL || schema == NULL ||
		(!is_kind(entry, "TABLE DATA") && !is_kind(entry, "SEQUENCE SET")))
		return false;
	if (depends_on_any(entry, known))
		return false;
	if (!choice->for_scratch)
		return strcmp(schema, "cron") == 0;
	return !is_in(quote_qualified_identifier(schema, tag),
				  choice->extension_tables);
}

static Fate
fate_of(const DumpEntry *entry, const char *tag, const EntryChoice *choice,
		const Bitmapset *types, const Bitmapset *out)
{
	if (depends_on_any(entry, out))
		return LEFT_OUT;
	if (is_kind(entry, "EXTENSION") && is_in(tag, choice->without_extensions))
		return LEFT_OUT;
	if (is_one_of(entry->description, links, lengthof(links)) ||
		names_missing_role(entry, choice))
		return LEFT_OUT;
	if (is_kind(entry, "SCHEMA") && is_in(tag, choice->created_schemas))
		return PASSED_OVER;
	if (!choice->for_scratch)
		return RESTORED;
	if (is_kind(entry, "EXTENSION"))
		return is_in(tag, choice->created_extensions) ? PASSED_OVER : LEFT_OUT;
	/* row security would apply to the owner of all tables, too */
	if (is_about(entry, "EXTENSION") || is_about(entry, "SCHEMA") ||
		is_kind(entry, "ACL") || is_kind(entry, "DEFAULT ACL") ||
		is_kind(entry, "SECURITY LABEL") || is_kind(entry, "ROW SECURITY"))
		return PASSED_OVER;
	return is_beyond_rights(entry, choice, types) ? LEFT_OUT : RESTORED;
}

static void
leave_out(EntryChoice *choice, const DumpEntry *entry, const char *schema,
		  const char *tag, StringInfo list)
{
	LeftOutKind *kind = NULL;
	ListCell *cell;

	foreach (cell, choice->left_out)
	{
		LeftOutKind *other = lfirst(cell);

		if (strcmp(other->kind, entry->description) == 0)
			kind = other;
	}
	if (kind == NULL)
	{
		kind = palloc0(sizeof(LeftOutKind));
		kind->kind = pstrdup(entry->description);
		kind->first = schema == NULL || schema[0] == '\0'
						  ? pstrdup(tag)
						  : psprintf("%s.%s", schema, tag);
		choice->left_out = lappend(choice->left_out, kind);
	}
	kind->count++;
	appendStringInfoString(list,
						   list->len > 1 ? ", {\"kind\": " : "{\"kind\": ");
	escape_json(list, entry->description);
	appendStringInfoString(list, ", \"schema\": ");
	escape_json(list, schema == NULL ? "" : schema);
	appendStringInfoString(list, ", \"tag\": ");
	escape_json(list, tag);
	appendStringInfoChar(list, '}');
}

/*
 * The order of entries is kept: rows arrive in that order, and the stream
 * cannot be rewound.
 */
void
choose_entries(DumpFile *dump, EntryChoice *choice)
{
	StringInfoData list;
	Bitmapset *known = NULL;
	Bitmapset *types = NULL;
	Bitmapset *out = NULL;
	ListCell *cell;

	initStringInfo(&list);
	appendStringInfoChar(&list, '[');
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);

		known = bms_add_member(known, entry->dump_id);
		if (is_kind(entry, "TYPE") || is_kind(entry, "DOMAIN") ||
			is_kind(entry, "TABLE"))
			types = bms_add_member(types, entry->dump_id);
	}
	foreach (cell, dump_file_entries(dump))
	{
		const DumpEntry *entry = lfirst(cell);
		char *tag = in_our_encoding(dump, entry->tag ? entry->tag : "");
		char *schema = in_our_encoding(dump, entry->schema);

		if (is_about(entry, "DATABASE") && is_kind(entry, "ACL"))
			choice->database_rights = in_our_encoding(dump, entry->definition);
		switch (has_no_table(entry, schema, tag, choice, known)
					? LEFT_OUT
					: fate_of(entry, tag, choice, types, out))
		{
			case RESTORED:
				choice->chosen = lappend_int(choice->chosen, entry->dump_id);
				break;
			case PASSED_OVER:
				break;
			case LEFT_OUT:
				out = bms_add_member(out, entry->dump_id);
				leave_out(choice, entry, schema, tag, &list);
				break;
		}
	}
	appendStringInfoChar(&list, ']');
	choice->list = list.data;
}
