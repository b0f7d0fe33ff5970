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
	const char *database; /* that it was restored into; NULL: of a private
							 server, where sessions are not terminated */
	const DumpFile *dump;
	const char *words; /* of pg_restore */
	/* found */
	const DumpEntry *entry; /* that failed; NULL: it is not known */
	char
		*message; /* of its error, where no code of the dump can have chosen it
					*/
} FailedRestore;

/*
 * In a transaction.  Executes the failed entry again, and returns the
 * SQLSTATE, or 00000 for success.  NULL where the session of pg_restore was
 * terminated, where the failed entry is unknown, or where it cannot be
 * executed again.
 */
extern const char *reproduce_failure(FailedRestore *failed);

/*
 * The SQLSTATE of a psql script that stops at its first error, with VERBOSITY
 * sqlstate: 00000 for success, NULL where the session was lost.  The message
 * is read from a script with another verbosity.
 */
extern const char *sqlstate_of_psql(const ChildEnd *end);
extern char *message_of_psql(const ChildEnd *end);

/*
 * does an SQLSTATE indicate an error of the server, and not of the statement?
 */
extern bool is_server_error(const char *sqlstate);

#endif /* PGMAINT_REPRODUCE_H */
