/*-------------------------------------------------------------------------
 *
 * remains.h
 *	  What is left of a private server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REMAINS_H
#define PGMAINT_REMAINS_H

/*
 * Is the server in this folder up with this postmaster, and does it take
 * connections?
 */
extern bool postmaster_is_ready(const char *folder, pid_t pid);

/*
 * Ends all processes of the server in this folder, whoever started them, and
 * removes the folder.  False, after a WARNING, where that could not be done.
 */
extern bool remove_remains(const char *folder);

#endif /* PGMAINT_REMAINS_H */
