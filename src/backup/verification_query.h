/*-------------------------------------------------------------------------
 *
 * verification_query.h
 *	  What the query of a verification may be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_VERIFICATION_QUERY_H
#define PGMAINT_VERIFICATION_QUERY_H

#include "nodes/parsenodes.h"

/*
 * Raises an ERROR unless the text is exactly one statement that reads.  Returns
 * the statement's own text, without a semicolon; select: its parse tree, or NULL.
 */
extern char *check_verification_query(const char *text, SelectStmt **select);

/* does it return a number of rows, and no value of one? */
extern bool returns_count(const SelectStmt *select);

#endif /* PGMAINT_VERIFICATION_QUERY_H */
