/*-------------------------------------------------------------------------
 *
 * restore_error.h
 *	  What is told of a restore that has failed.
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

/* into the log of this server: all that pg_restore has said, but for progress */
extern void log_restore_error(const FailedRestore *failed);

#endif /* PGMAINT_RESTORE_ERROR_H */
