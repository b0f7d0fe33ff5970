/*-------------------------------------------------------------------------
 *
 * private_server.h
 *	  A temporary PostgreSQL server that uses this server's binaries.
 *
 * It is in a folder that no other operating system user may enter, listens on a
 * socket in that folder only, and ends with this process.  A process has one at
 * a time.
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
	char *folder;	/* the folder of the server and all its files */
	char *role;		/* its superuser */
	char *password; /* of that role */
} PrivateServer;

/* raises an ERROR if a socket cannot be in a folder of this name */
extern void check_private_folder(const char *folder);

/* a line for postgresql.conf */
extern char *setting_line(const char *name, const char *value);

/* both in a transaction; settings: such lines */
extern PrivateServer *make_private_server(const char *folder);
extern void start_private_server(const PrivateServer *server,
								 const char *settings);

/* raises an ERROR if the server of this process has ended unexpectedly */
extern void check_private_server(void);

/* as its superuser; does not try to connect */
extern Login *private_login(const PrivateServer *server, const char *database);

/* at once, in any state of this process; also without a server */
extern void stop_private_server(void);

/*
 * Stops all processes that run in the folder, also those of other sessions,
 * and removes it.  Returns false, after a WARNING, if a part of it could not
 * be removed.
 */
extern bool remove_private_folder(const char *folder);

#endif /* PGMAINT_PRIVATE_SERVER_H */
