/*-------------------------------------------------------------------------
 *
 * handover.h
 *	  Properties, rights and name of a restored database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HANDOVER_H
#define PGMAINT_HANDOVER_H

#include "backup/restorable.h"

/*
 * All functions run in a transaction, as the caller.  The first restores
 * settings, comment and rights of the database (rights: statements on the
 * backed-up database, or NULL), and returns the commands that failed, with
 * their errors.
 */
extern List *restore_database_properties(const char *database,
										 const BackupDescription *description,
										 const char *rights);

/*
 * Set the owner, if any, and the name; old_name: the new name of an existing
 * database of that name, or NULL. Returns false, and changes nothing, while
 * sessions are connected to one of the databases.
 */
extern bool rename_database(const char *database, const char *owner,
							const char *name, const char *old_name);

/* "role (application), ..." */
extern char *name_sessions(const char *database);

#endif /* PGMAINT_HANDOVER_H */
