/*-------------------------------------------------------------------------
 *
 * guess.h
 *	  Values of parameters, guessed from the number of rows that executions
 *	  returned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_GUESS_H
#define PGMAINT_ADVICE_GUESS_H

#include "nodes/parsenodes.h"

#include "advice/statement.h"

extern void guess_values(Query *query, const Statement *statement);
extern char *cast_to_intervals(const char *text);

#endif /* PGMAINT_ADVICE_GUESS_H */
