/*-------------------------------------------------------------------------
 *
 * reproduce.h
 *	  Whether a failed restore is the fault of the dump.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REPRODUCE_H
#define PGMAINT_REPRODUCE_H

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
} FailedRestore;

/*
 * In a transaction.  Executes the entry that failed once more, and returns the
 * SQLSTATE, 00000 for none; NULL where the session of pg_restore was ended, or where it is not
 * known which entry failed, or how to execute it.
 */
extern const char *reproduce_failure(const FailedRestore *failed);

/*
 * What pg_restore has said, without its lines about progress and without values
 * of rows.  sqlstate: what the function above has returned.
 */
extern char *output_without_values(const char *words, const char *sqlstate);

/* is an error about the server it came from, and not about what was executed? */
extern bool is_server_trouble(const char *sqlstate);

#endif /* PGMAINT_REPRODUCE_H */
