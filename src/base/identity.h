/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Whose rights the current code has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_IDENTITY_H
#define PGMAINT_IDENTITY_H

/* what to put back when code that acted as somebody else is done */
typedef struct Identity
{
	Oid user;
	int security_context;
	int settings_level;
} Identity;

extern Oid extension_oid(bool missing_ok);
extern void assume_owner(Identity *caller);
extern void assume_table_owner(Oid owner, Identity *caller);
extern void resume_caller(const Identity *caller);
extern bool may_maintain_relation(Oid relation, Oid role);

#endif /* PGMAINT_IDENTITY_H */
