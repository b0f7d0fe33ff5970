/*-------------------------------------------------------------------------
 *
 * verification_query.c
 *	  Checks of the query of a verification.
 *
 * The query is put in parentheses in the restored database, so it must be
 * exactly one statement.  The end of the statement depends on how strings are
 * parsed: both sides use standard_conforming_strings = on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parser/parser.h"
#include "utils/guc.h"

#include "backup/verification_query.h"

static void
refuse_query(const char *detail)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("the query of a verification must be one read-only statement"),
		 errdetail_internal("%s", detail),
		 errhint("Use one SELECT, VALUES, TABLE or WITH, for example SELECT "
				 "count(*) > 0 FROM public.orders.")));
}

/*
 * Report the position of an error in the query: positions do not refer to the
 * text that the client sent.
 */
static void
point_into_query(void *arg)
{
	int position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

static List *
parse(const char *text)
{
	ErrorContextCallback context = {error_context_stack, point_into_query,
									unconstify(char *, text)};
	int level = NewGUCNestLevel();
	List *parsed;

	(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	error_context_stack = &context;
	parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	error_context_stack = context.previous;
	AtEOXact_GUC(true, level);
	return parsed;
}

/*
 * Deeper WITH clauses and functions that write are refused by the server.
 */
static void
refuse_writing(const SelectStmt *select)
{
	const SelectStmt *first = select;
	ListCell *cell;

	while (first->larg != NULL)
		first = first->larg;
	if (first->intoClause != NULL)
		refuse_query("The query has an INTO clause.");
	if (select->withClause == NULL)
		return;
	foreach (cell, select->withClause->ctes)
	{
		const CommonTableExpr *part = lfirst(cell);

		if (!IsA(part->ctequery, SelectStmt))
			refuse_query(psprintf("\"%s\" in the WITH clause changes rows.",
								  part->ctename));
	}
}

char *
check_verification_query(const char *text, SelectStmt **select)
{
	List *parsed = parse(text);
	const RawStmt *statement;
	char *own;
	size_t length;

	if (list_length(parsed) != 1)
		refuse_query(psprintf("The query consists of %d statements.",
							  list_length(parsed)));
	statement = linitial_node(RawStmt, parsed);
	if (!IsA(statement->stmt, SelectStmt))
		refuse_query("The query is another kind of statement.");
	refuse_writing((SelectStmt *) statement->stmt);
	if (select != NULL)
		*select = (SelectStmt *) statement->stmt;

	own = pstrdup(text + Max(statement->stmt_location, 0));
	if (statement->stmt_len > 0)
		own[statement->stmt_len] = '\0';
	own += strspn(own, " \t\r\n\f");
	length = strlen(own);
	while (length > 0 && strchr(" \t\r\n\f", own[length - 1]) != NULL)
		own[--length] = '\0';
	return own;
}

bool
returns_count(const SelectStmt *select)
{
	const ResTarget *target;
	const FuncCall *call;

	if (select->op != SETOP_NONE || list_length(select->targetList) != 1)
		return false;
	target = linitial_node(ResTarget, select->targetList);
	if (target->val == NULL || !IsA(target->val, FuncCall))
		return false;
	call = (const FuncCall *) target->val;
	return call->over == NULL && list_length(call->funcname) == 1 &&
		   strcmp(strVal(linitial(call->funcname)), "count") == 0;
}
