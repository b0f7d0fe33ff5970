/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  Statements that were counted, in a form that can be planned.
 *
 * Only how a statement finds its rows matters, so a statement that changes
 * rows becomes a SELECT of these rows, which takes no locks but
 * AccessShareLock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "advice/statement.h"
#include "base/compat.h"
#include "base/subtransaction.h"

/* the search for text constants in a raw statement */
typedef struct LiteralSearch
{
	List *constants;
	int highest; /* number of a parameter */
} LiteralSearch;

static void
refuse(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", why)));
}

/*
 * Nothing in WITH may change rows.
 */
static void
check_with(WithClause *with)
{
	ListCell *cell;

	if (with == NULL)
		return;
	foreach (cell, with->ctes)
	{
		if (!IsA(lfirst_node(CommonTableExpr, cell)->ctequery, SelectStmt))
			refuse("a WITH clause changes rows");
	}
}

static SelectStmt *
make_select(WithClause *with, List *from, Node *condition)
{
	SelectStmt *select = makeNode(SelectStmt);

	if (condition != NULL && IsA(condition, CurrentOfExpr))
		refuse("WHERE CURRENT OF needs no index");
	select->withClause = with;
	select->fromClause = from;
	select->whereClause = condition;
	return select;
}

/*
 * The values that UPDATE sets are computed from the rows it finds.
 */
static SelectStmt *
select_from_update(UpdateStmt *update)
{
	SelectStmt *select = make_select(
		update->withClause, lcons(update->relation, update->fromClause),
		update->whereClause);
	ListCell *cell;

	foreach (cell, update->targetList)
	{
		ResTarget *target = lfirst_node(ResTarget, cell);

		if (IsA(target->val, MultiAssignRef) || IsA(target->val, SetToDefault))
			continue;
		target->name = NULL;
		target->indirection = NIL;
		select->targetList = lappend(select->targetList, target);
	}
	return select;
}

static SelectStmt *
select_from_insert(InsertStmt *insert)
{
	SelectStmt *select = (SelectStmt *) insert->selectStmt;

	if (select == NULL || select->valuesLists != NIL)
	{
		refuse("the statement reads no table");
		return NULL;
	}
	if (select->withClause == NULL)
		select->withClause = insert->withClause;
	return select;
}

#if SERVER_MAJOR_VERSION >= 15

static SelectStmt *
select_from_merge(MergeStmt *merge)
{
	JoinExpr *join = makeNode(JoinExpr);

	join->jointype = JOIN_INNER;
	join->larg = merge->sourceRelation;
	join->rarg = (Node *) merge->relation;
	join->quals = merge->joinCondition;
	return make_select(merge->withClause, list_make1(join), NULL);
}

#endif

/*
 * The SELECT that finds the rows of a statement.
 */
static SelectStmt *
as_select(Node *statement)
{
	SelectStmt *select;

	if (IsA(statement, PrepareStmt))
		statement = ((PrepareStmt *) statement)->query;
	else if (IsA(statement, DeclareCursorStmt))
		statement = ((DeclareCursorStmt *) statement)->query;
	switch (nodeTag(statement))
	{
		case T_SelectStmt:
			select = (SelectStmt *) statement;
			while (select->larg != NULL)
				select = select->larg;
			if (select->intoClause != NULL)
				refuse("the statement creates a table");
			select = (SelectStmt *) statement;
			break;
		case T_InsertStmt:
			select = select_from_insert((InsertStmt *) statement);
			break;
		case T_UpdateStmt:
			select = select_from_update((UpdateStmt *) statement);
			break;
		case T_DeleteStmt:
		{
			DeleteStmt *delete = (DeleteStmt *) statement;

			select = make_select(delete->withClause,
								 lcons(delete->relation, delete->usingClause),
								 delete->whereClause);
			break;
		}
#if SERVER_MAJOR_VERSION >= 15
		case T_MergeStmt:
			select = select_from_merge((MergeStmt *) statement);
			break;
#endif
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s has no plan", CreateCommandName(statement))));
	}
	check_with(select->withClause);
	return select;
}

/*
 * pg_stat_statements puts a parameter in the place of every constant, and so
 * makes interval $1 of interval '1 day', which is not SQL.  Replace it with a
 * cast: two colons after the parameter, and the type's name.
 */
static char *
repair_typed_constants(const char *text)
{
	static const char *const types[] = {
		"interval",	 "date", "timestamptz", "timestamp with time zone",
		"timestamp", "time", "numeric",		"uuid",
		"jsonb",	 "json", "inet",		"bytea"};
	StringInfoData repaired;
	const char *here = text;

	initStringInfo(&repaired);
	while (*here != '\0')
	{
		const char *found = NULL;
		bool word_begins =
			here == text ||
			!(isalnum((unsigned char) here[-1]) || here[-1] == '_' ||
			  here[-1] == '.' || here[-1] == '"' || IS_HIGHBIT_SET(here[-1]));

		for (int i = 0; word_begins && found == NULL && i < lengthof(types);
			 i++)
		{
			size_t length = strlen(types[i]);

			if (pg_strncasecmp(here, types[i], length) == 0 &&
				isspace((unsigned char) here[length]))
			{
				const char *rest = here + length;

				while (isspace((unsigned char) *rest))
					rest++;
				if (rest[0] == '$' && isdigit((unsigned char) rest[1]))
				{
					const char *end = rest + 1;

					while (isdigit((unsigned char) *end))
						end++;
					appendStringInfo(&repaired, "%.*s::%s", (int) (end - rest),
									 rest, types[i]);
					found = end;
				}
			}
		}
		if (found != NULL)
			here = found;
		else
			appendStringInfoChar(&repaired, *here++);
	}
	return repaired.data;
}

typedef struct ParseAttempt
{
	const char *text;
	List *parsed;
} ParseAttempt;

static void
parse(void *argument)
{
	ParseAttempt *attempt = argument;

	attempt->parsed = raw_parser(attempt->text, RAW_PARSE_DEFAULT);
}

/*
 * Parse a statement as it was counted, and make a SELECT of it.
 */
RawStmt *
parse_as_select(const char *text)
{
	ParseAttempt attempt = {text, NIL};
	RawStmt *raw;

	if (try_in_subtransaction(parse, &attempt) != NULL)
		attempt.parsed =
			raw_parser(repair_typed_constants(text), RAW_PARSE_DEFAULT);
	if (list_length(attempt.parsed) != 1)
		refuse("the text is not a single statement");
	raw = linitial_node(RawStmt, attempt.parsed);
	raw->stmt = (Node *) as_select(raw->stmt);
	return raw;
}

/*
 * Find the text constants, and remove row locks.
 */
static bool
/* NOLINTNEXTLINE(misc-no-recursion): a statement is a tree */
find_literals(Node *node, void *context)
{
	LiteralSearch *search = context;

	if (node == NULL)
		return false;
	if (IsA(node, A_Const))
	{
		if (constant_is_text((A_Const *) node))
			search->constants = lappend(search->constants, node);
		return false;
	}
	if (IsA(node, ParamRef))
		search->highest = Max(search->highest, ((ParamRef *) node)->number);
	if (IsA(node, SelectStmt))
		((SelectStmt *) node)->lockingClause = NIL;
	return raw_expression_tree_walker(node, find_literals, context);
}

/*
 * Replace all text constants with parameters.  The parser would convert a text
 * to the type of its context, and would execute the checks of its domains
 * before their owners are known.  Returns what restore_literals() needs.
 */
List *
hide_literals(RawStmt *raw)
{
	LiteralSearch search = {NIL, 0};
	List *literals = NIL;
	ListCell *cell;

	(void) find_literals(raw->stmt, &search);
	foreach (cell, search.constants)
	{
		A_Const *constant = lfirst(cell);
		char *text = constant_text(constant);
		HiddenLiteral *literal = NULL;
		ParamRef *parameter;
		ListCell *other;

		foreach (other, literals)
		{
			if (strcmp(((HiddenLiteral *) lfirst(other))->text, text) == 0)
				literal = lfirst(other);
		}
		if (literal == NULL)
		{
			literal = palloc(sizeof(HiddenLiteral));
			literal->number = ++search.highest;
			literal->text = text;
			literals = lappend(literals, literal);
		}
		/* overwritten in place: pointers to the constant stay valid */
		StaticAssertStmt(sizeof(ParamRef) <= sizeof(A_Const),
						 "a parameter is no larger than a constant");
		parameter = (ParamRef *) constant;
		memset(parameter, 0, sizeof(ParamRef));
		parameter->type = T_ParamRef;
		parameter->number = literal->number;
		parameter->location = -1;
	}
	return literals;
}

static Node *
/* NOLINTNEXTLINE(misc-no-recursion): a query is a tree */
restore_in(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, restore_in, context,
										   0);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		Param *parameter = (Param *) node;
		ListCell *cell;

		foreach (cell, (List *) context)
		{
			HiddenLiteral *literal = lfirst(cell);
			Oid input;
			Oid element;
			int16 length;
			bool by_value;

			if (literal->number != parameter->paramid)
				continue;
			getTypeInputInfo(parameter->paramtype, &input, &element);
			get_typlenbyval(parameter->paramtype, &length, &by_value);
			return (Node *) makeConst(
				parameter->paramtype, -1, parameter->paramcollid, length,
				OidInputFunctionCall(input, literal->text, element, -1), false,
				by_value);
		}
	}
	return expression_tree_mutator(node, restore_in, context);
}

/*
 * Restore the text constants, as values of the types that the parser found for
 * them.
 */
Query *
restore_literals(Query *query, List *literals)
{
	if (literals == NIL)
		return query;
	return query_tree_mutator(query, restore_in, literals, 0);
}
