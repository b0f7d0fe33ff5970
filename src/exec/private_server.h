/*-------------------------------------------------------------------------
 *
 * private_server.h
 *	  A throw-away PostgreSQL server, of this server's own binaries.
 *
 * It lives in a folder that nobody else may enter, listens on a socket in there
 * and nowhere else, and ends with this process.  A process has one at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PRIVATE_SERVER_H
#define PGMAINT_PRIVATE_SERVER_H

#include "exec/programs.h"

/* sessions at a time */
#define PRIVATE_CONNECTIONS 20

typedef struct PrivateServer
{
	char *folder;	/* everything of it */
	char *role;		/* its superuser */
	char *password; /* of that role */
} PrivateServer;

/* raises an ERROR where no socket could be in a folder of this name */
extern void check_private_folder(const char *folder);

/* a line for postgresql.conf */
extern char *setting_line(const char *name, const char *value);

/* both in a transaction; settings: such lines */
extern PrivateServer *make_private_server(const char *folder);
extern void start_private_server(const PrivateServer *server,
								 const char *settings);

/* raises an ERROR where the one of this process has ended by itself */
extern void check_private_server(void);

/* as its superuser; nothing is tried */
extern Login *private_login(const PrivateServer *server, const char *database);

/* at once, and in any state of this process; none need be up */
extern void stop_private_server(void);

/*
 * Stops whatever runs in the folder, whoever started it, and removes it.  False
 * where something of it is left; a WARNING says what.
 */
extern bool remove_private_folder(const char *folder);

#endif /* PGMAINT_PRIVATE_SERVER_H */
