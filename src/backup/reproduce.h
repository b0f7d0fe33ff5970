/*-------------------------------------------------------------------------
 *
 * reproduce.h
 *	  Whether a failed restore is the fault of the dump.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REPRODUCE_H
#define PGMAINT_REPRODUCE_H

#include "backup/entries.h"
#include "backup/restorable.h"
#include "exec/programs.h"
#include "stream/dumpfile.h"

typedef struct FailedRestore
{
	Storage *storage;
	const BackupDescription *description;
	const Login *login;	  /* that pg_restore had */
	const char *settings; /* the same */
	const char *database; /* that it was restored into; NULL: of another
							 server, where nobody ends sessions */
	const DumpFile *dump;
	const char *words; /* of pg_restore */
	/* found */
	const DumpEntry *entry; /* that failed; NULL: it is not known */
	char
		*message; /* of its error, where no code of the dump can have chosen it
					*/
} FailedRestore;

/*
 * In a transaction.  Executes the entry that failed once more, and returns the
 * SQLSTATE, 00000 for none; NULL where the session of pg_restore was ended, or where it is not
 * known which entry failed, or how to execute it.
 */
extern const char *reproduce_failure(FailedRestore *failed);

/*
 * Of a script of psql's that has ended at its first error, with VERBOSITY sqlstate:
 * 00000 where there was none, NULL where the session was lost.  The message is that
 * of another verbosity.
 */
extern const char *sqlstate_of_psql(const ChildEnd *end);
extern char *message_of_psql(const ChildEnd *end);

/* is an error about the server it came from, and not about what was executed? */
extern bool is_server_trouble(const char *sqlstate);

#endif /* PGMAINT_REPRODUCE_H */
