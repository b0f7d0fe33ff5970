/*-------------------------------------------------------------------------
 *
 * restore_error.h
 *	  The description of a failed restore.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RESTORE_ERROR_H
#define PGMAINT_RESTORE_ERROR_H

#include "backup/reproduce.h"

/* an error by its SQLSTATE alone */
extern char *name_error(const char *sqlstate);

/* for readers of the ledger; sqlstate: what reproduce_failure() has returned */
extern char *describe_restore_error(const FailedRestore *failed,
									const char *sqlstate);

/* writes the output of pg_restore, without progress, to the server log */
extern void log_restore_error(const FailedRestore *failed);

#endif /* PGMAINT_RESTORE_ERROR_H */
