/*-------------------------------------------------------------------------
 *
 * prepare.h
 *	  Preparation of a database before a dump is restored into it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PREPARE_H
#define PGMAINT_PREPARE_H

#include "backup/restorable.h"
#include "backup/entries.h"
#include "backup/scratch.h"
#include "exec/programs.h"

typedef struct Preparation
{
	/* given */
	const char *role;	 /* that the dump is restored as */
	Login *login;		 /* of that role, into the database */
	Login *owner;		 /* of the database's owner, the same */
	Login *admin;		 /* of a superuser, the same; NULL: there is none */
	bool alone;			 /* in a server that has no other database */
	List *missing_roles; /* names that the server does not know */
	const BackupDescription *description;
	bool amcheck; /* is it wanted? */
	const char *settings;
	/* found */
	EntryChoice choice;
	bool has_amcheck;
	List *refused; /* texts: extensions that could not be created, and why */
} Preparation;

/* in a transaction, before any statement of the dump */
extern void prepare_scratch(Preparation *preparation);

/* for a database that is kept: extensions that it cannot have */
extern List *extensions_elsewhere(const BackupDescription *description);

/*
 * The same: creates pgmaint in the version of the dump, if that is an earlier
 * one, until the dump is restored.  Needs a superuser.
 */
extern bool create_earlier_version(const Login *login, const char *session,
								   const BackupDescription *description,
								   EntryChoice *choice);
extern void update_earlier_version(const Login *login, const char *session);

#endif /* PGMAINT_PREPARE_H */
