/*-------------------------------------------------------------------------
 *
 * programs.c
 *	  The client and server programs of PostgreSQL: finding them, and their
 *	  logins to databases of this server.
 *
 * The server authenticates these programs like all other clients, so a login is
 * found by trying.  A login as another role is followed by SET ROLE: the session
 * acts with the rights of the role for which it works.  Where code in the
 * database could undo SET ROLE, only a login as the role itself is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pwd.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/settings.h"
#include "exec/programs.h"

/* variables that would redirect a program, or change its output */
static const char *const env_vars_to_clear[] = {
	"PGHOST",	   "PGHOSTADDR",	   "PGPORT",	  "PGDATABASE",
	"PGUSER",	   "PGPASSWORD",	   "PGSERVICE",	  "PGTZ",
	"PGDATESTYLE", "PGCLIENTENCODING", "PGSSLMODE",	  "PGTARGETSESSIONATTRS",
	"PGGEQO",	   "PSQL_PAGER",	   "PSQL_HISTORY"};

/*
 * The folder of this server's executable.
 */
static char *
server_folder(void)
{
	char *folder = pstrdup(my_exec_path);

	get_parent_directory(folder);
	return folder;
}

char *
find_program(const char *name)
{
	bool elsewhere = pgmaint_program_directory != NULL &&
					 pgmaint_program_directory[0] != '\0';
	char *path = psprintf(
		"%s/%s", elsewhere ? pgmaint_program_directory : server_folder(),
		name);

	if (access(path, X_OK) != 0)
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("could not find program \"%s\": %m", path),
			 errhint(
				 "Install the client programs of the server's PostgreSQL version, or set pgmaint.program_directory to their folder.")));
	return path;
}

char *
find_server_program(const char *name)
{
	char *path = psprintf("%s/%s", server_folder(), name);

	if (access(path, X_OK) != 0)
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("could not find program \"%s\": %m", path),
			 errhint(
				 "Install all server programs of PostgreSQL, or restore into a database of this server with the option {\"where\": \"database\"}.")));
	return path;
}

/*
 * Append a keyword and its value to a connection string.
 */
static void
append_keyword(StringInfo conninfo, const char *keyword, const char *value)
{
	appendStringInfo(conninfo, " %s='", keyword);
	for (; *value != '\0'; value++)
	{
		if (*value == '\'' || *value == '\\')
			appendStringInfoChar(conninfo, '\\');
		appendStringInfoChar(conninfo, *value);
	}
	appendStringInfoChar(conninfo, '\'');
}

/*
 * The first folder with a socket of this server; NULL where it has none.
 */
static char *
socket_folder(void)
{
	char *folders =
		pstrdup(GetConfigOption("unix_socket_directories", false, false));
	List *list;

	if (!SplitDirectoriesString(folders, ',', &list) || list == NIL)
		return NULL;
	return linitial(list);
}

/*
 * Later keywords of a connection string override earlier ones.
 */
static Login *
make_login(const char *host, const char *user, const char *forced_user,
		   const char *database, const char *role, const char *password)
{
	StringInfoData conninfo;
	Login *login = palloc0(sizeof(Login));

	initStringInfo(&conninfo);
	append_keyword(&conninfo, "host", host);
	append_keyword(&conninfo, "port", GetConfigOption("port", false, false));
	append_keyword(&conninfo, "user", user);
	append_keyword(&conninfo, "sslmode", "allow");
	append_keyword(&conninfo, "gssencmode", "disable");
	append_keyword(&conninfo, "connect_timeout", "10");
	if (pgmaint_connection != NULL)
		appendStringInfo(&conninfo, " %s", pgmaint_connection);
	if (forced_user != NULL)
		append_keyword(&conninfo, "user", forced_user);
	append_keyword(&conninfo, "dbname", database);
	login->conninfo = conninfo.data + 1;
	login->role = role == NULL ? NULL : pstrdup(role);
	login->password = password == NULL ? NULL : pstrdup(password);
	return login;
}

/*
 * A private server has no other way in, and no eavesdropper on the way, since
 * its folder is closed to all other users.
 */
Login *
socket_login(const char *folder, const char *database, const char *role,
			 const char *password, bool superuser)
{
	StringInfoData conninfo;
	Login *login = palloc0(sizeof(Login));

	initStringInfo(&conninfo);
	append_keyword(&conninfo, "host", folder);
	append_keyword(&conninfo, "port", "5432");
	append_keyword(&conninfo, "user", role);
	append_keyword(&conninfo, "sslmode", "disable");
	append_keyword(&conninfo, "gssencmode", "disable");
	/* requirements on servers in the environment apply to this server, too */
	append_keyword(&conninfo, "channel_binding", "disable");
	append_keyword(&conninfo, "requirepeer", "");
	append_keyword(&conninfo, "dbname", database);
	login->conninfo = conninfo.data + 1;
	login->password = pstrdup(password);
	login->superuser = superuser;
	return login;
}

List *
clean_environment(void)
{
	List *environment = NIL;

	for (int i = 0; i < lengthof(env_vars_to_clear); i++)
		environment = lappend(environment, pstrdup(env_vars_to_clear[i]));
	return lappend(environment, pstrdup("LC_ALL=C"));
}

List *
login_environment(const Login *login, const char *settings)
{
	List *environment = clean_environment();
	StringInfoData options;

	initStringInfo(&options);
	append_pinned_settings(&options, login->superuser);
	if (login->settings != NULL && login->settings[0] != '\0')
		appendStringInfo(&options, " %s", login->settings);
	if (settings != NULL)
		appendStringInfo(&options, " %s", settings);
	environment = lappend(environment, pstrdup("PGAPPNAME=pgmaint"));
	environment = lappend(environment, psprintf("PGOPTIONS=%s", options.data));
	if (login->password != NULL)
		environment =
			lappend(environment, psprintf("PGPASSWORD=%s", login->password));
	return environment;
}

void
check_end(const char *what, const ChildEnd *end)
{
	if (end->succeeded)
		return;
	ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					end->words[0] == '\0'
						? errmsg("%s %s", what, end->status)
						: errmsg("%s %s: %s", what, end->status, end->words)));
}

char *
run_psql_script(const Login *login, const char *settings, const char *script,
				ChildEnd *end)
{
	List *arguments = list_make5(pstrdup("-XqAtw"), pstrdup("-F\t"),
								 pstrdup("-vON_ERROR_STOP=1"), pstrdup("-f-"),
								 psprintf("-d%s", login->conninfo));
	List *environment = login_environment(login, settings);
	StringInfoData output;
	Child *child;

	environment = lappend(environment, psprintf("PGCLIENTENCODING=%s",
												GetDatabaseEncodingName()));
	initStringInfo(&output);
	child = child_start(find_program("psql"), arguments, environment);
	child_gather(child, &output);
	if (login->role != NULL)
	{
		char *command =
			psprintf("SET ROLE %s;\n", quote_identifier(login->role));

		(void) child_write(child, command, strlen(command));
	}
	(void) child_write(child, script, strlen(script));
	child_wait(child, end);
	return output.data;
}

char *
run_psql(const Login *login, const char *settings, const char *script)
{
	ChildEnd end;
	char *output = run_psql_script(login, settings, script, &end);

	check_end("psql", &end);
	return output;
}

List *
split_lines(const char *output)
{
	List *lines = NIL;

	while (*output != '\0')
	{
		size_t length = strcspn(output, "\n");

		lines = lappend(lines, pnstrdup(output, length));
		output += length + (output[length] == '\n' ? 1 : 0);
	}
	return lines;
}

/*
 * Try a login, and read its session's role.  A failure is appended to the
 * list.
 */
static bool
try_login(Login *login, StringInfo failures)
{
	ChildEnd end;
	char *answer = run_psql_script(
		login, NULL,
		"SELECT r.rolsuper FROM pg_catalog.pg_roles r "
		"WHERE r.rolname OPERATOR(pg_catalog.=) session_user;\n",
		&end);

	if (end.succeeded)
	{
		login->superuser = answer[0] == 't';
		return true;
	}
	if (failures->len > 0)
		appendStringInfoChar(failures, '\n');
	appendStringInfoString(failures,
						   end.words[0] == '\0' ? end.status : end.words);
	return false;
}

/*
 * The first login that works.  alone: a login as the role itself.
 */
static Login *
first_login(List *candidates, const char *database, const char *role,
			bool alone)
{
	StringInfoData failures;
	ListCell *cell;

	initStringInfo(&failures);
	foreach (cell, candidates)
	{
		if (try_login(lfirst(cell), &failures))
			return lfirst(cell);
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
		 errmsg("could not log in to database \"%s\" as role \"%s\"", database,
				role),
		 errdetail_internal("%s", failures.data),
		 alone
			 ? errhint(
				   "Allow the login in pg_hba.conf, or set pgmaint.connection to parameters with which the role itself can log in without a password prompt, for example 'host=localhost passfile=/etc/pgmaint.pgpass'.")
			 : errhint(
				   "Allow the login in pg_hba.conf, or set pgmaint.connection to parameters that work without a password, for example 'user=postgres' or 'host=localhost passfile=/etc/pgmaint.pgpass'.")));
	return NULL;
}

/*
 * The name of the operating system user of this process, if a role has that
 * name.
 */
static char *
role_of_process(void)
{
	struct passwd entry;
	struct passwd *found;
	char buffer[4096];

	if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) != 0 ||
		found == NULL || !OidIsValid(get_role_oid(entry.pw_name, true)))
		return NULL;
	return pstrdup(entry.pw_name);
}

/*
 * The addresses on which the server listens; the socket, which needs no
 * encryption, comes first.
 */
static List *
hosts(void)
{
	List *list = NIL;
	char *folder = socket_folder();
	const char *addresses = GetConfigOption("listen_addresses", false, false);

	if (folder != NULL)
		list = lappend(list, folder);
	if (addresses != NULL && addresses[0] != '\0')
		list = lappend(list, pstrdup("localhost"));
	return list;
}

/*
 * With own_session, the user is the role, whatever pgmaint.connection says,
 * which may name a superuser.
 */
Login *
role_login(const char *database, Oid role, bool own_session)
{
	char *name = GetUserNameFromId(role, false);
	bool alone = own_session && !superuser_arg(role);
	char *process = alone ? NULL : role_of_process();
	List *candidates = NIL;
	List *known = hosts();
	ListCell *cell;

	foreach (cell, known)
	{
		const char *host = lfirst(cell);

		/*
		 * not before the candidate that may be the only one to work without a
		 * password prompt
		 */
		if (process != NULL && strcmp(process, name) != 0 && host[0] == '/')
			candidates = lappend(candidates, make_login(host, process, NULL,
														database, name, NULL));
		candidates =
			lappend(candidates, make_login(host, name, alone ? name : NULL,
										   database, name, NULL));
	}
	return first_login(candidates, database, name, alone);
}

Login *
password_login(const char *database, const char *role, const char *password)
{
	List *candidates = NIL;
	List *known = hosts();
	ListCell *cell;

	foreach (cell, known)
		candidates = lappend(candidates, make_login(lfirst(cell), role, role,
													database, NULL, password));
	return first_login(candidates, database, role, false);
}
