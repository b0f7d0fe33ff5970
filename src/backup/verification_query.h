/*-------------------------------------------------------------------------
 *
 * verification_query.h
 *	  Checks of the query of a verification.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_VERIFICATION_QUERY_H
#define PGMAINT_VERIFICATION_QUERY_H

#include "nodes/parsenodes.h"

/*
 * Raises an ERROR unless the text is exactly one read-only statement.  Returns
 * the text of the statement without a semicolon; select: its parse tree, or
 * NULL.
 */
extern char *check_verification_query(const char *text, SelectStmt **select);

/* does the query return a count, and no value of a row? */
extern bool returns_count(const SelectStmt *select);

#endif /* PGMAINT_VERIFICATION_QUERY_H */
