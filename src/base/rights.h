/*-------------------------------------------------------------------------
 *
 * rights.h
 *	  Switches between the rights of roles.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RIGHTS_H
#define PGMAINT_RIGHTS_H

#include "access/attnum.h"

/* the extension's own schemas, as a list in SQL */
#define OWN_SCHEMAS "'pgmaint', 'pgmaint_internal'"

/* state to restore after code that acted with the rights of another role */
typedef struct SavedRights
{
	Oid user;
	int security_context;
	int settings_level;
} SavedRights;

/* a schema of the extension, and its current name */
typedef struct RenamedSchema
{
	const char *name;
	const char *now;
} RenamedSchema;

extern Oid extension_oid(bool missing_ok);
extern bool is_own_schema(Oid schema);
extern bool schema_is_renamed(RenamedSchema *renamed);
extern void require_extension(void);
extern void assume_owner(SavedRights *caller);
extern void assume_table_owner(Oid owner, SavedRights *caller);
extern void resume_caller(const SavedRights *caller);
extern Oid owner_of_object(int cache, Oid object, AttrNumber column);
extern bool may_maintain_relation(Oid relation, Oid role);

#endif /* PGMAINT_RIGHTS_H */
