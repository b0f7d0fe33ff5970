/*-------------------------------------------------------------------------
 *
 * guess.c
 *	  Values of parameters, guessed from the number of rows that executions
 *	  returned.
 *
 * The planner takes a third of the rows for a range whose end is a parameter,
 * and half of them for a boolean.  The number of rows that the executions
 * found tells which value of the column's statistics is closest to the
 * parameter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "advice/column.h"
#include "advice/guess.h"

/*
 * The one condition of a query of one table whose rows are those that it finds;
 * NULL where something else may have decided how many come out.
 */
static OpExpr *
find_only_condition(const Query *query)
{
	const RangeTblEntry *entry;
	Node *condition = query->jointree->quals;

	if (query->hasAggs || query->hasTargetSRFs || query->hasRowSecurity ||
		query->groupClause != NIL || query->groupingSets != NIL ||
		query->distinctClause != NIL || query->havingQual != NULL ||
		query->limitCount != NULL || query->limitOffset != NULL ||
		query->setOperations != NULL || list_length(query->rtable) != 1 ||
		list_length(query->jointree->fromlist) != 1)
		return NULL;
	entry = linitial_node(RangeTblEntry, query->rtable);
	if (entry->rtekind != RTE_RELATION || entry->tablesample != NULL ||
		condition == NULL || !IsA(condition, OpExpr) ||
		list_length(((OpExpr *) condition)->args) != 2)
		return NULL;
	return (OpExpr *) condition;
}

/*
 * The share of the table's rows that an execution found on average; negative
 * where that is not known.
 */
static double
share_found(Oid relation, const Statement *statement)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double tuples = 0;

	if (HeapTupleIsValid(tuple))
	{
		tuples = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	if (tuples < 1 || statement->calls < 1)
		return -1;
	return Min(1, statement->rows / statement->calls / tuples);
}

/*
 * Use values from statistics only if the role may read the column.
 */
static HeapTuple
column_statistics(const RangeTblEntry *entry, AttrNumber attnum)
{
	bool inherited =
		get_rel_relkind(entry->relid) == RELKIND_PARTITIONED_TABLE;

	if (pg_class_aclcheck(entry->relid, GetUserId(), ACL_SELECT) !=
			ACLCHECK_OK &&
		pg_attribute_aclcheck(entry->relid, attnum, GetUserId(), ACL_SELECT) !=
			ACLCHECK_OK)
		return NULL;
	return SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(entry->relid),
						   Int16GetDatum(attnum), BoolGetDatum(inherited));
}

/*
 * The end of a range that leaves this share of the rows, and no less than a
 * bucket of the histogram.
 */
static Node *
guess_bound(HeapTuple statistics, const Var *column, double share, bool above)
{
	AttStatsSlot slot;
	Node *bound = NULL;
	int16 length;
	bool by_value;

	if (!get_attstatsslot(&slot, statistics, STATISTIC_KIND_HISTOGRAM,
						  InvalidOid, ATTSTATSSLOT_VALUES))
		return NULL;
	if (slot.valuetype == column->vartype && slot.nvalues > 2)
	{
		int last = slot.nvalues - 1;
		int nth = Max(1, (int) ceil(share * last));

		if (above)
			nth = Max(0, last - nth);
		get_typlenbyval(column->vartype, &length, &by_value);
		bound = (Node *) makeConst(
			column->vartype, column->vartypmod, column->varcollid, length,
			datumCopy(slot.values[Min(nth, last)], by_value, length), false,
			by_value);
	}
	free_attstatsslot(&slot);
	return bound;
}

/*
 * True or false, of which there are about so many.
 */
static Node *
guess_boolean(HeapTuple statistics, double share)
{
	AttStatsSlot slot;
	double yes = -1;
	double no;

	if (!get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
						  ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
		return NULL;
	no = 1 - ((Form_pg_statistic) GETSTRUCT(statistics))->stanullfrac;
	for (int nth = 0; nth < slot.nvalues && nth < slot.nnumbers; nth++)
	{
		if (DatumGetBool(slot.values[nth]))
			yes = slot.numbers[nth];
	}
	free_attstatsslot(&slot);
	if (yes < 0)
		return NULL;
	no -= yes;
	return makeBoolConst(fabs(yes - share) <= fabs(no - share), false);
}

/*
 * Put a value in the place of what has a parameter, where the rows that were
 * found tell which it was like.  Types of the server's own only: others compare
 * by functions of users.
 */
void
guess_values(Query *query, const Statement *statement)
{
	OpExpr *condition = find_only_condition(query);
	const RangeTblEntry *entry;
	ListCell *side;
	const Var *column;
	Node *guess = NULL;
	Oid operator;
	Oid opclass;
	int strategy;
	double share;
	HeapTuple statistics;

	if (condition == NULL)
		return;
	entry = linitial_node(RangeTblEntry, query->rtable);
	column = linitial(condition->args);
	side = list_nth_cell(condition->args, 1);
	operator= condition->opno;
	if (!IsA(column, Var))
	{
		column = lsecond(condition->args);
		side = list_nth_cell(condition->args, 0);
		operator= get_commutator(operator);
	}
	if (!IsA(column, Var) || column->varattno <= 0 ||
		column->varlevelsup > 0 || column->vartype >= FirstNormalObjectId ||
		!OidIsValid(operator) || !has_parameter(lfirst(side), NULL) ||
		contain_var_clause(lfirst(side)) ||
		exprType(lfirst(side)) != column->vartype)
		return;
	opclass = GetDefaultOpClass(column->vartype, BTREE_AM_OID);
	share = share_found(entry->relid, statement);
	if (!OidIsValid(opclass) || share < 0)
		return;
	strategy = get_op_opfamily_strategy(operator, get_opclass_family(opclass));
	statistics = column_statistics(entry, column->varattno);
	if (!HeapTupleIsValid(statistics))
		return;
	if (strategy == BTEqualStrategyNumber && column->vartype == BOOLOID)
		guess = guess_boolean(statistics, share);
	else if (strategy != 0 && strategy != BTEqualStrategyNumber)
		guess = guess_bound(statistics, column, share,
							strategy == BTGreaterStrategyNumber ||
								strategy == BTGreaterEqualStrategyNumber);
	ReleaseSysCache(statistics);
	if (guess != NULL)
		lfirst(side) = guess;
}

/*
 * Is the text before this position the end of an expression of a time type?
 */
static bool
ends_with_time(const char *begin, const char *end)
{
	static const char *const times[] = {"now()",
										"clock_timestamp()",
										"statement_timestamp()",
										"transaction_timestamp()",
										"current_timestamp",
										"localtimestamp"};

	while (end > begin && isspace((unsigned char) end[-1]))
		end--;
	for (int i = 0; i < lengthof(times); i++)
	{
		size_t length = strlen(times[i]);

		if ((size_t) (end - begin) >= length &&
			pg_strncasecmp(end - length, times[i], length) == 0)
			return true;
	}
	return false;
}

/*
 * A parameter that is subtracted from a time would be parsed as another time,
 * but was an interval where the statement fails that way: add a cast to its
 * text.
 */
char *
cast_to_intervals(const char *text)
{
	StringInfoData cast;
	const char *here = text;

	initStringInfo(&cast);
	while (*here != '\0')
	{
		const char *rest = here + 1;

		appendStringInfoChar(&cast, *here);
		while ((*here == '-' || *here == '+') &&
			   isspace((unsigned char) *rest))
			rest++;
		if ((*here == '-' || *here == '+') && rest[0] == '$' &&
			isdigit((unsigned char) rest[1]) && ends_with_time(text, here))
		{
			const char *end = rest + 1;

			while (isdigit((unsigned char) *end))
				end++;
			appendStringInfo(&cast, " %.*s::interval", (int) (end - rest),
							 rest);
			here = end - 1;
		}
		here++;
	}
	return cast.data;
}
