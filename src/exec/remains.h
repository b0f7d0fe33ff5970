/*-------------------------------------------------------------------------
 *
 * remains.h
 *	  The removal of a private server that is left over.
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
 * Ends all processes of the server in this folder, also those of other
 * sessions, and removes the folder.  Returns false, after a WARNING, if that
 * failed.
 */
extern bool remove_remains(const char *folder);

#endif /* PGMAINT_REMAINS_H */
