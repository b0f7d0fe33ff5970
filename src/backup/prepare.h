/*-------------------------------------------------------------------------
 *
 * prepare.h
 *	  What must be in a scratch database before a dump is restored into it.
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
	const Scratch *scratch;
	const BackupDescription *description;
	Oid caller;
	bool amcheck; /* is it wanted? */
	const char *settings;
	/* found */
	Login *login; /* of the scratch role */
	EntryChoice choice;
	bool has_amcheck;
	List *refused; /* texts: extensions that could not be created, and why */
} Preparation;

/* in a transaction, before anything of the dump has run */
extern void prepare_scratch(Preparation *preparation);

/* for a database that is to be kept: what cannot be in it */
extern List *extensions_elsewhere(const BackupDescription *description);

#endif /* PGMAINT_PREPARE_H */
