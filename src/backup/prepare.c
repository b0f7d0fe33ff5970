/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  Preparation of a database before a dump is restored into it.
 *
 * In a scratch database, the owner of the database lets the scratch role
 * create objects in the schema public, and a superuser creates extensions that
 * need one.  This is the only code that runs in the database with more rights
 * than those of the scratch role, and it runs before the first statement of
 * the dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "backup/prepare.h"
#include "base/compat.h"
#include "base/subtransaction.h"

/*
 * PUBLIC may call the functions of these extensions, which write files of the
 * server or connect to other servers: code in the dump could pass on rows
 * through them.
 */
static const char *const reaching_out[] = {
	"amqp",	  "aws_lambda", "aws_s3",		 "azure_storage",
	"dblink", "http",		"external_file", "pg_curl",
	"pg_net", "pgmemcache", "pldbgapi",		 "plproxy",
};

/* a script, for try_in_subtransaction() */
typedef struct Script
{
	const Login *login;
	const char *settings;
	const char *text;
	char *output;
} Script;

static void
run_script(void *argument)
{
	Script *script = argument;

	script->output = run_psql(script->login, script->settings, script->text);
}

/*
 * The error of a script that failed, or NULL.
 */
static char *
try_script(const Login *login, const char *settings, const char *text)
{
	Script script = {login, settings, text, NULL};
	ErrorData *error = try_in_subtransaction(run_script, &script);

	if (error == NULL)
		return NULL;
	if (error->sqlerrcode != ERRCODE_EXTERNAL_ROUTINE_EXCEPTION)
		ReThrowError(error);
	return error->message;
}

List *
extensions_elsewhere(const BackupDescription *description)
{
	List *names = NIL;
	ListCell *cell;

	foreach (cell, description->extensions)
	{
		const BackupExtension *extension = lfirst(cell);

		if (extension->elsewhere)
			names = lappend(names, extension->name);
	}
	return names;
}

static bool
is_ours_to_make(const BackupExtension *extension)
{
	return extension->schema != NULL &&
		   strcmp(extension->schema, "public") != 0 &&
		   strncmp(extension->schema, "pg_", 3) != 0;
}

/*
 * The same role creates the schema and the extension, since an extension may
 * refuse a schema of another role.  CASCADE is not used, so that no extension
 * is created that was left out.
 */
static char *
create_extension(Preparation *preparation, const BackupExtension *extension)
{
	const Login *login =
		extension->for_superuser ? preparation->admin : preparation->login;
	StringInfoData script;

	if (login == NULL)
		return pstrdup("only a superuser may create the extension");
	initStringInfo(&script);
	if (is_ours_to_make(extension))
	{
		appendStringInfo(&script, "CREATE SCHEMA IF NOT EXISTS %s;\n",
						 quote_identifier(extension->schema));
		preparation->choice.created_schemas =
			lappend(preparation->choice.created_schemas, extension->schema);
	}
	appendStringInfo(&script, "CREATE EXTENSION IF NOT EXISTS %s",
					 quote_identifier(extension->name));
	if (extension->schema != NULL)
		appendStringInfo(&script, " SCHEMA %s",
						 quote_identifier(extension->schema));
	if (extension->version != NULL)
		appendStringInfo(&script, " VERSION %s",
						 quote_literal_cstr(extension->version));
	appendStringInfoString(&script, ";\n");
	/* afterwards: an extension may want to be alone in its schema */
	if (is_ours_to_make(extension) && extension->for_superuser)
		appendStringInfo(&script, "GRANT ALL ON SCHEMA %s TO %s;\n",
						 quote_identifier(extension->schema),
						 quote_identifier(preparation->role));
	return try_script(login, preparation->settings, script.data);
}

static char *
reason_against(const Preparation *preparation,
			   const BackupExtension *extension)
{
	for (int i = 0; i < lengthof(reaching_out); i++)
	{
		if (strcmp(extension->name, reaching_out[i]) == 0)
			return pstrdup("its functions can access files or other servers");
	}
	if (!extension->elsewhere)
		return NULL;
	if (!preparation->alone)
		return pstrdup("only one database of a server can have the extension");
	return extension->available
			   ? NULL
			   : pstrdup("the extension is not installed on this server");
}

static void
refuse_extension(Preparation *preparation, const BackupExtension *extension,
				 const char *reason)
{
	EntryChoice *choice = &preparation->choice;

	choice->without_extensions =
		lappend(choice->without_extensions, extension->name);
	preparation->refused = lappend(
		preparation->refused, psprintf("%s: %s", extension->name, reason));
}

/*
 * Create the extensions that can be created; returns the others, with the
 * reasons.
 */
static List *
try_extensions(Preparation *preparation, List *extensions, List **reasons)
{
	EntryChoice *choice = &preparation->choice;
	List *refused = NIL;
	ListCell *cell;

	*reasons = NIL;
	foreach (cell, extensions)
	{
		BackupExtension *extension = lfirst(cell);
		char *refusal = create_extension(preparation, extension);

		if (refusal == NULL)
			choice->created_extensions =
				lappend(choice->created_extensions, extension->name);
		else
		{
			refused = lappend(refused, extension);
			*reasons = lappend(*reasons, refusal);
		}
	}
	return refused;
}

/*
 * An extension may require a later one: the list is tried again as long as it
 * gets shorter.
 */
static void
create_extensions(Preparation *preparation)
{
	List *extensions = NIL;
	List *reasons = NIL;
	ListCell *cell;
	ListCell *reason;
	int before;

	foreach (cell, preparation->description->extensions)
	{
		BackupExtension *extension = lfirst(cell);
		char *refusal = reason_against(preparation, extension);

		if (refusal == NULL)
			extensions = lappend(extensions, extension);
		else
			refuse_extension(preparation, extension, refusal);
	}
	do
	{
		before = list_length(extensions);
		extensions = try_extensions(preparation, extensions, &reasons);
	} while (extensions != NIL && list_length(extensions) < before);
	forboth(cell, extensions, reason, reasons)
		refuse_extension(preparation, lfirst(cell), lfirst(reason));
}

/*
 * Since PostgreSQL 15, only the owner of the database may create objects in
 * the schema public; before, every role may.
 */
static void
open_public(const Preparation *preparation)
{
	if (SERVER_MAJOR_VERSION >= 15)
		(void) run_psql(
			preparation->owner, preparation->settings,
			psprintf("GRANT USAGE, CREATE ON SCHEMA public TO %s;\n",
					 quote_identifier(preparation->role)));
}

/* the tables of extensions whose rows are in a dump */
#define TABLES_OF_EXTENSIONS                                \
	"pg_catalog.pg_extension e "                            \
	"CROSS JOIN pg_catalog.unnest(e.extconfig) AS x (oid) " \
	"JOIN pg_catalog.pg_class c ON c.oid = x.oid "          \
	"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"

/*
 * The rows of an extension's tables are in the dump, but not the tables, which
 * belong to a superuser: foreign keys of such a table are checked, and their
 * actions executed, as the superuser.  A role that may reference such a table
 * or create a trigger on it could have code called as the owner, so the
 * scratch role gets neither right.  It gets UPDATE for the tables' own
 * triggers, such as that of pgmaint.thresholds.
 */
static void
grant_rights(const Preparation *preparation)
{
	const char *role = preparation->role;

	(void) run_psql(
		preparation->admin, preparation->settings,
		psprintf(
			"SET search_path = pg_catalog;\n"
			"SELECT pg_catalog.format('GRANT %%s %%I.%%I TO %%I', "
			"CASE c.relkind WHEN 'S' THEN 'SELECT, UPDATE ON SEQUENCE' ELSE 'SELECT, INSERT, UPDATE ON TABLE' END, "
			"n.nspname, c.relname, %s) "
			"FROM " TABLES_OF_EXTENSIONS " WHERE c.relkind IN ('r', 'p', 'S') "
			"UNION ALL SELECT DISTINCT pg_catalog.format('GRANT USAGE ON SCHEMA %%I TO %%I', n.nspname, %s) "
			"FROM " TABLES_OF_EXTENSIONS " \\gexec\n",
			quote_literal_cstr(role), quote_literal_cstr(role)));
}

/*
 * The scratch role calls the checks, since these call operators of the dump.
 */
static bool
offer_amcheck(const Preparation *preparation)
{
	char *refusal = try_script(
		preparation->admin, preparation->settings,
		psprintf(
			"CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA pg_catalog;\n"
			"SET search_path = pg_catalog;\n"
			"SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %%s TO %%I', "
			"p.oid::pg_catalog.regprocedure, %s) "
			"FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON p.oid = d.objid "
			"JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'amcheck' "
			"WHERE d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass "
			"AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass "
			"AND p.proname = 'bt_index_check' \\gexec\n",
			quote_literal_cstr(preparation->role)));

	return refusal == NULL;
}

/*
 * The languages in which a role without rights may create functions.
 */
static const char languages[] =
	"SELECT pg_catalog.quote_ident(l.lanname) FROM pg_catalog.pg_language l "
	"WHERE l.lanpltrusted AND pg_catalog.has_language_privilege(l.oid, 'USAGE');\n";

/* other settings may be given to a function only by a superuser */
static const char settings[] =
	"SELECT s.name FROM pg_catalog.pg_settings s WHERE s.context = 'user';\n";

/* only these tables of extensions have rows in a dump */
static const char extension_tables[] =
	"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM " TABLES_OF_EXTENSIONS
	";\n";

static List *
read_lines(const Preparation *preparation, const char *script)
{
	return split_lines(
		run_psql(preparation->login, preparation->settings, script));
}

void
prepare_scratch(Preparation *preparation)
{
	open_public(preparation);
	create_extensions(preparation);
	if (preparation->admin != NULL)
	{
		grant_rights(preparation);
		preparation->has_amcheck =
			preparation->amcheck && offer_amcheck(preparation);
	}
	preparation->choice.for_scratch = true;
	preparation->choice.missing_roles = preparation->missing_roles;
	preparation->choice.languages = read_lines(preparation, languages);
	preparation->choice.settings = read_lines(preparation, settings);
	preparation->choice.extension_tables =
		read_lines(preparation, extension_tables);
}

/*
 * A restore may disable ordinary triggers.  The trigger of pgmaint.thresholds
 * in version 0.2 is one: it replaces the default by a changed threshold.
 */
static const char enable_triggers[] =
	"SELECT pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', "
	"t.tgrelid::pg_catalog.regclass, t.tgname) FROM pg_catalog.pg_trigger t "
	"WHERE t.tgrelid = pg_catalog.to_regclass('pgmaint.thresholds') AND NOT t.tgisinternal \\gexec\n";

/*
 * The dump was made with an earlier version of pgmaint: its views and grants
 * may name objects that have moved since.  So the extension is created in that
 * version, and updated after the restore.  The role that creates the extension
 * also creates the schema, since the statement in the dump would fail.
 */
bool
create_earlier_version(const Login *login, const char *session,
					   const BackupDescription *description,
					   EntryChoice *choice)
{
	ListCell *cell;

	foreach (cell, description->extensions)
	{
		const BackupExtension *extension = lfirst(cell);

		if (strcmp(extension->name, "pgmaint") != 0 ||
			extension->version == NULL ||
			strcmp(extension->version, PGMAINT_VERSION) == 0)
			continue;
		(void) run_psql(login, session,
						psprintf("CREATE SCHEMA IF NOT EXISTS pgmaint;\n"
								 "CREATE EXTENSION pgmaint VERSION %s;\n%s",
								 quote_literal_cstr(extension->version),
								 enable_triggers));
		choice->created_schemas =
			lappend(choice->created_schemas, pstrdup("pgmaint"));
		return true;
	}
	return false;
}

void
update_earlier_version(const Login *login, const char *session)
{
	(void) run_psql(login, session,
					"ALTER EXTENSION pgmaint UPDATE TO '" PGMAINT_VERSION
					"';\n");
}
