/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  Statements that were counted, in a form that can be planned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ADVICE_STATEMENT_H
#define PGMAINT_ADVICE_STATEMENT_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/* the figures of one statement in pg_stat_statements */
typedef struct Statement
{
	Oid role; /* that executed it */
	int64 query_id;
	char *text;
	char *search_path; /* as the role's sessions begin */
	double calls;
	double total_ms;
	double rows;   /* all calls together */
	double blocks; /* the same, in shared buffers */
	double days;   /* in which that was counted */
} Statement;

/* a text constant that a parameter replaces */
typedef struct HiddenLiteral
{
	int number; /* of the parameter */
	char *text;
} HiddenLiteral;

extern RawStmt *parse_as_select(const char *text);
extern List *hide_literals(RawStmt *raw);
extern Query *restore_literals(Query *query, List *literals);

#endif /* PGMAINT_ADVICE_STATEMENT_H */
