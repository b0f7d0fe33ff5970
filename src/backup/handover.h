/*-------------------------------------------------------------------------
 *
 * handover.h
 *	  What makes a restored database the one that it is to be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HANDOVER_H
#define PGMAINT_HANDOVER_H

#include "backup/restorable.h"

/*
 * All in a transaction, as the caller.  The first gives the database its
 * settings, its comment and its rights (rights: statements on the old one, or NULL); returns
 * what could not be given, texts.
 */
extern List *dress_database(const char *database,
							const BackupDescription *description,
							const char *rights);

/*
 * The owner, if any, and the name that it is to have; old_name: what a database
 * that has it already is called from now on, or NULL.  False, and nothing is
 * done, where somebody is connected to one of them.
 */
extern bool rename_database(const char *database, const char *owner,
							const char *name, const char *old_name);

/* "role (application), ..." */
extern char *name_sessions(const char *database);

#endif /* PGMAINT_HANDOVER_H */
