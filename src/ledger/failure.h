/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  An ERROR as the cause of a failure, with the functions in which it was
 *	  raised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FAILURE_H
#define PGMAINT_FAILURE_H

/* inside a ledger scope */
extern char *describe_failure(const ErrorData *error);

#endif /* PGMAINT_FAILURE_H */
