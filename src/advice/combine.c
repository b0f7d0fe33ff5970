/*-------------------------------------------------------------------------
 *
 * combine.c
 *	  The indexes that could serve the conditions and the order of a query.
 *
 * Columns that must be equal to something come first, the most selective
 * ahead, then one range, or the order that is wanted.  The planner decides
 * which of the combinations are useful.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "advice/combine.h"

#define MAX_COLUMNS 4
#define MAX_CANDIDATES 40
/* a predicate that leaves more of the table does not pay */
#define MAX_FRACTION 0.3
/* values of a column that tells states */
#define MAX_STATES 50

/* the columns for candidates, and the candidates */
typedef struct Combination
{
	const Demand *demand;
	List *predicate;
	double fraction;
	List *made;
} Combination;

static bool
has_column(List *columns, const IndexColumn *column)
{
	ListCell *cell;

	foreach (cell, columns)
	{
		const IndexColumn *other = lfirst(cell);

		if (other->attnum == column->attnum &&
			equal(other->expression, column->expression))
			return true;
	}
	return false;
}

/*
 * One list after the other, each column once.
 */
static List *
join_columns(List *columns, List *more)
{
	List *joined = list_copy(columns);
	ListCell *cell;

	foreach (cell, more)
	{
		if (!has_column(joined, lfirst(cell)))
			joined = lappend(joined, lfirst(cell));
	}
	return joined;
}

static void
make(Combination *combination, List *columns)
{
	Candidate *candidate;
	ListCell *cell;

	if (columns == NIL || list_length(columns) > MAX_COLUMNS ||
		list_length(combination->made) >= MAX_CANDIDATES)
		return;
	candidate = make_candidate(combination->demand->relation, columns,
							   combination->predicate, combination->fraction);
	foreach (cell, combination->made)
	{
		if (same_candidate(lfirst(cell), candidate))
			return;
	}
	combination->made = lappend(combination->made, candidate);
}

static int
by_selectivity(const ListCell *one, const ListCell *other)
{
	double a = ((const Condition *) lfirst(one))->selectivity;
	double b = ((const Condition *) lfirst(other))->selectivity;

	return (a > b) - (a < b);
}

/*
 * Is the condition part of the predicate already?
 */
static bool
is_in_predicate(const Combination *combination, const Condition *condition)
{
	return condition->clause != NULL &&
		   list_member(combination->predicate, condition->clause);
}

/*
 * The columns of the conditions of these kinds, in their order.
 */
static List *
columns_of(const Combination *combination, List *conditions,
		   ConditionKind kind, bool join)
{
	List *columns = NIL;
	ListCell *cell;

	foreach (cell, conditions)
	{
		Condition *condition = lfirst(cell);

		if (condition->kind == kind && condition->join == join &&
			!is_in_predicate(combination, condition) &&
			!has_column(columns, condition->column))
			columns = lappend(columns, condition->column);
	}
	return columns;
}

/*
 * Everything that begins with the first so many of the columns that must be
 * equal.
 */
static void
combine_from(Combination *combination, List *equal, List *ranges, List *joins)
{
	List *order =
		combination->demand->limited ? combination->demand->order : NIL;
	ListCell *cell;

	make(combination, equal);
	foreach (cell, ranges)
		make(combination, join_columns(equal, list_make1(lfirst(cell))));
	if (order != NIL)
		make(combination, join_columns(equal, order));
	foreach (cell, joins)
	{
		List *join = list_make1(lfirst(cell));

		make(combination, join_columns(join, equal));
		make(combination, join_columns(equal, join));
		if (ranges != NIL)
			make(combination, join_columns(join_columns(join, equal),
										   list_make1(linitial(ranges))));
	}
}

/*
 * All combinations under one predicate.
 */
static void
combine(Combination *combination)
{
	List *conditions = list_copy(combination->demand->conditions);
	List *equal;
	List *any;
	List *ranges;
	List *joins;

	list_sort(conditions, by_selectivity);
	equal = columns_of(combination, conditions, CONDITION_EQUAL, false);
	any = columns_of(combination, conditions, CONDITION_ANY, false);
	ranges = columns_of(combination, conditions, CONDITION_RANGE, false);
	joins = columns_of(combination, conditions, CONDITION_EQUAL, true);

	combine_from(combination, NIL, ranges, joins);
	for (int count = 1; count <= Min(MAX_COLUMNS, list_length(equal)); count++)
		combine_from(combination, list_truncate(list_copy(equal), count),
					 ranges, joins);
	if (list_length(equal) == 2)
		make(combination, list_make2(lsecond(equal), linitial(equal)));
	if (any != NIL)
		combine_from(combination, join_columns(equal, any), ranges, joins);
	if (any != NIL && equal != NIL)
		combine_from(combination, any, ranges, NIL);
}

/*
 * An index with a predicate only needs some column: that of the order, or of
 * the primary key.
 */
static void
make_of_predicate(Combination *combination)
{
	make(combination, combination->demand->order);
	if (combination->demand->key != NULL)
		make(combination, list_make1(combination->demand->key));
}

/*
 * Is the value a state, of which there are few, rather than one of many values
 * that other statements would replace with another?
 */
static bool
is_state(const Condition *condition)
{
	return (condition->kind == CONDITION_EQUAL ||
			condition->kind == CONDITION_ANY) &&
		   condition->column->distinct <= MAX_STATES;
}

/*
 * Conditions that have no parameters, as a predicate; with those that would be
 * columns otherwise, or without.
 */
static void
set_predicate(Combination *combination, bool with_columns)
{
	ListCell *cell;

	combination->predicate = NIL;
	combination->fraction = 1;
	foreach (cell, combination->demand->conditions)
	{
		const Condition *condition = lfirst(cell);

		if (condition->clause == NULL || condition->selectivity > MAX_FRACTION)
			continue;
		if (condition->kind != CONDITION_PREDICATE &&
			!(with_columns && is_state(condition)))
			continue;
		combination->predicate =
			lappend(combination->predicate, condition->clause);
		combination->fraction *= condition->selectivity;
	}
}

/*
 * One index for each arm of an OR, which are used together.
 */
static void
combine_arms(Combination *combination)
{
	ListCell *cell;

	combination->predicate = NIL;
	combination->fraction = 1;
	foreach (cell, combination->demand->arms)
	{
		List *equal =
			columns_of(combination, lfirst(cell), CONDITION_EQUAL, false);
		List *any =
			columns_of(combination, lfirst(cell), CONDITION_ANY, false);
		List *ranges =
			columns_of(combination, lfirst(cell), CONDITION_RANGE, false);

		if (ranges != NIL)
			ranges = list_make1(linitial(ranges));
		make(combination,
			 list_truncate(join_columns(join_columns(equal, any), ranges),
						   MAX_COLUMNS));
	}
}

/*
 * All indexes that could serve the demand, plain ones first.
 */
List *
indexes_for(const Demand *demand)
{
	Combination combination = {demand, NIL, 1, NIL};
	List *first;

	combine(&combination);
	combine_arms(&combination);
	set_predicate(&combination, false);
	first = combination.predicate;
	if (first != NIL)
	{
		combine(&combination);
		make_of_predicate(&combination);
	}
	set_predicate(&combination, true);
	if (list_length(combination.predicate) > list_length(first))
	{
		combine(&combination);
		make_of_predicate(&combination);
	}
	return combination.made;
}
