/*-------------------------------------------------------------------------
 *
 * programs.h
 *	  The client and server programs of PostgreSQL: finding them, and their
 *	  logins to databases of this server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PROGRAMS_H
#define PGMAINT_PROGRAMS_H

#include "exec/child.h"

/* a login to a database that was tried, and works */
typedef struct Login
{
	char *conninfo; /* for -d; never a password */
	char *role;		/* to SET ROLE to, or NULL */
	char *password; /* for the environment, or NULL */
	char *settings; /* of its sessions, as for PGOPTIONS, or NULL */
	bool superuser; /* is the session's own role one? */
} Login;

/*
 * Both raise an ERROR with a hint if there is no such program: one of the
 * client programs, or one of the server's own programs.
 */
extern char *find_program(const char *name);
extern char *find_server_program(const char *name);

/* an environment without variables that would redirect a program */
extern List *clean_environment(void);

/*
 * To be called in a transaction.  role_login: with the rights of an existing
 * role, by any login that the server allows the operating system user;
 * own_session: not by SET ROLE in a session with more rights, which code in
 * the database could undo.  password_login: as a role that has this password.
 */
extern Login *role_login(const char *database, Oid role, bool own_session);
extern Login *password_login(const char *database, const char *role,
							 const char *password);

/* for another server, by its socket; does not try to connect */
extern Login *socket_login(const char *folder, const char *database,
						   const char *role, const char *password,
						   bool superuser);

/*
 * For child_start; settings: as for PGOPTIONS, in addition to those that are
 * pinned, or NULL.
 */
extern List *login_environment(const Login *login, const char *settings);

/*
 * The output of a psql script, one line for each row, the columns separated by
 * tabs; raises an ERROR with the error output of psql.
 */
extern char *run_psql(const Login *login, const char *settings,
					  const char *script);

/* such output, a text for each line */
extern List *split_lines(const char *output);

/* the same, but raises no ERROR: end has the status of psql */
extern char *run_psql_script(const Login *login, const char *settings,
							 const char *script, ChildEnd *end);

/* raises an ERROR with the program's error output unless it has succeeded */
extern void check_end(const char *what, const ChildEnd *end);

#endif /* PGMAINT_PROGRAMS_H */
