/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  The gain of one statement from candidate indexes.
 *
 * The planner plans the statement with each of them, with all of them, and
 * then with smaller sets, down to the smallest that is about as good.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "advice/advice.h"
#include "advice/combine.h"
#include "advice/planning.h"
#include "advice/reading.h"

#define MAX_INDEXES 3
/* a simpler index that is nearly as good is better */
#define NEARLY 1.15
/* of a table of which a call reads less, the plan is not what is executed */
#define MIN_SHARE_READ 0.2

typedef struct Evaluation
{
	const Statement *statement;
	const AdviceLimits *limits;
	List *gains_of; /* candidates, and in the next list what was gained */
	List *gains;
	char *unanalyzed;
	char *why_not; /* why there is no advice */
} Evaluation;

/*
 * The cost with these indexes; used receives those that the plan uses.
 */
static double
cost_of(Query *query, List *candidates, List **used)
{
	MemoryContext results = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(results, "pgmaint advice plan",
											   ALLOCSET_DEFAULT_SIZES);
	PlannedStmt *plan;
	PlanReadings readings = {NIL, NIL};
	double cost;
	ListCell *cell;

	MemoryContextSwitchTo(work);
	plan = plan_with_indexes(query, candidates, NULL);
	cost = plan->planTree->total_cost;
	read_plan(plan, &readings);
	MemoryContextSwitchTo(results);
	*used = NIL;
	foreach (cell, candidates)
	{
		Candidate *candidate = lfirst(cell);

		if (list_member_oid(readings.indexes, candidate->number))
			*used = lappend(*used, candidate);
	}
	MemoryContextDelete(work);
	return cost;
}

/*
 * Is it the table that is asked of, or part of that?
 */
static bool
belongs_to(Oid relation, const Demand *demand)
{
	if (relation == demand->relation)
		return true;
	if (demand->inherited)
		return list_member_oid(
			find_all_inheritors(demand->relation, NoLock, NULL), relation);
	return get_rel_relispartition(relation) &&
		   list_member_oid(get_partition_ancestors(relation),
						   demand->relation);
}

/*
 * Does the plan read too much of the table, and do the executions?
 */
static bool
reads_too_much(const Demand *demand, const PlanReadings *readings,
			   const Evaluation *evaluation)
{
	const Statement *statement = evaluation->statement;
	double pages = 0;
	bool whole = false;
	bool found = false;
	ListCell *cell;

	foreach (cell, readings->readings)
	{
		const Reading *reading = lfirst(cell);

		if (belongs_to(reading->relation, demand))
		{
			found = true;
			whole = whole || reading->whole;
		}
	}
	if (!found)
		return false;
	if (demand->inherited ||
		get_rel_relkind(demand->relation) == RELKIND_PARTITIONED_TABLE)
		return true;
	pages = demand->pages;
	if (pages * BLCKSZ < evaluation->limits->min_bytes)
		return false;
	return !whole ||
		   statement->blocks / statement->calls >= MIN_SHARE_READ * pages;
}

/*
 * Is the first of two candidates, at these costs, to be preferred?
 */
static bool
is_preferable(const Candidate *one, double cost, const Candidate *other,
			  double other_cost)
{
	int columns = list_length(one->columns) + list_length(one->predicate);
	int other_columns =
		list_length(other->columns) + list_length(other->predicate);

	if (cost * NEARLY < other_cost)
		return true;
	if (other_cost * NEARLY < cost)
		return false;
	if (one->predicate != NIL && other->predicate != NIL)
		return columns < other_columns;
	/* about as good: a much smaller one, else the simpler one */
	if (one->bytes * 4 < other->bytes)
		return true;
	if (other->bytes * 4 < one->bytes)
		return false;
	if (columns != other_columns)
		return columns < other_columns;
	return cost < other_cost;
}

/*
 * The candidate that gains most together with those that were chosen.
 */
static Candidate *
choose_next(Query *query, List *candidates, List *chosen, double current,
			double *best_cost)
{
	Candidate *best = NULL;
	ListCell *cell;

	foreach (cell, candidates)
	{
		Candidate *candidate = lfirst(cell);
		List *used;
		double cost;

		if (list_member_ptr(chosen, candidate))
			continue;
		cost = cost_of(query, lappend(list_copy(chosen), candidate), &used);
		if (!list_member_ptr(used, candidate) || cost >= current)
			continue;
		if (best == NULL || is_preferable(candidate, cost, best, *best_cost))
		{
			best = candidate;
			*best_cost = cost;
		}
	}
	return best;
}

/*
 * The smallest set of candidates that is about as good as all of them.
 */
static List *
choose(Query *query, List *candidates, double before, double min_gain,
	   double *after)
{
	List *chosen = NIL;
	List *used;
	double best;
	double current = before;

	while (list_length(chosen) < MAX_INDEXES)
	{
		double cost = current;
		Candidate *next =
			choose_next(query, candidates, chosen, current, &cost);

		if (next == NULL || current - cost < min_gain * before ||
			(chosen != NIL && current - cost < 0.5 * current))
			break;
		chosen = lappend(chosen, next);
		current = cost;
	}
	*after = current;
	if (chosen != NIL)
		return chosen;
	/* those of an OR are good for something only together */
	best = cost_of(query, candidates, &used);
	if (list_length(used) < 2 || list_length(used) > MAX_INDEXES ||
		before - best < min_gain * before)
		return NIL;
	*after = best;
	return used;
}

/*
 * Note why no index may be useful, for statements without advice.
 */
static void
note_why_not(Evaluation *evaluation, const Demand *demand)
{
	const char *name = get_rel_name(demand->relation);

	if (evaluation->why_not != NULL)
		return;
	if (demand->inherited &&
		(demand->conditions != NIL || demand->arms != NIL))
		evaluation->why_not = psprintf(
			"an index on table \"%s\" would not cover the tables that inherit "
			"from it",
			name);
	else if (demand->unanswered)
		evaluation->why_not = psprintf(
			"no B-tree index answers a condition on table \"%s\"", name);
	else if (demand->unknown)
		evaluation->why_not = psprintf(
			"number of rows found in table \"%s\" depends on parameters",
			name);
}

/*
 * The candidates for everything that the plan reads too much of.
 */
static List *
find_candidates(Evaluation *evaluation, const PlanReadings *readings,
				List *demands)
{
	List *candidates = NIL;
	ListCell *cell;
	ListCell *inner;

	foreach (cell, demands)
	{
		const Demand *demand = lfirst(cell);

		if (!reads_too_much(demand, readings, evaluation))
			continue;
		if (demand->no_statistics)
		{
			evaluation->unanalyzed = get_rel_name(demand->relation);
			continue;
		}
		note_why_not(evaluation, demand);
		if (demand->inherited)
			continue;
		foreach (inner, indexes_for(demand))
		{
			Candidate *candidate = lfirst(inner);
			bool known = false;
			ListCell *other;

			foreach (other, candidates)
				known = known || same_candidate(lfirst(other), candidate);
			if (!known)
				candidates = lappend(candidates, candidate);
		}
	}
	return candidates;
}

static void
evaluate(Query *query, void *argument)
{
	Evaluation *evaluation = argument;
	List *demands = NIL;
	PlannedStmt *plan = plan_with_indexes(query, NIL, &demands);
	double before = plan->planTree->total_cost;
	double after;
	PlanReadings readings = {NIL, NIL};
	List *candidates;
	List *chosen;
	ListCell *cell;

	read_plan(plan, &readings);
	candidates = find_candidates(evaluation, &readings, demands);
	if (candidates == NIL)
		return;
	chosen = choose(query, candidates, before, evaluation->limits->min_gain,
					&after);
	foreach (cell, chosen)
	{
		StatementGain *gain = palloc0(sizeof(StatementGain));

		gain->statement = evaluation->statement;
		gain->before = before;
		gain->after = after;
		gain->others = list_delete_ptr(list_copy(chosen), lfirst(cell));
		evaluation->gains_of = lappend(evaluation->gains_of, lfirst(cell));
		evaluation->gains = lappend(evaluation->gains, gain);
	}
}

/*
 * Evaluate one statement, and add its gains to the advice.
 */
void
evaluate_statement(const Statement *statement, const AdviceLimits *limits,
				   AdviceResult *result)
{
	Evaluation evaluation = {statement, limits, NIL, NIL, NULL, NULL};
	char *why = with_query(statement, evaluate, &evaluation);
	ListCell *cell;
	ListCell *index;

	if (why != NULL)
	{
		/* the caller must not see statements of other roles */
		leave_out(result, why,
				  has_privs_of_role(GetUserId(), statement->role)
					  ? statement->text
					  : NULL);
		return;
	}
	result->looked_at++;
	if (evaluation.unanalyzed != NULL)
		leave_out(
			result,
			psprintf(
				"table \"%s\" has no statistics; run ANALYZE on the table",
				evaluation.unanalyzed),
			statement->text);
	else if (evaluation.why_not != NULL && evaluation.gains == NIL)
		leave_out(result, evaluation.why_not, statement->text);
	forboth(index, evaluation.gains_of, cell, evaluation.gains)
	{
		Advice *advice = NULL;
		ListCell *other;

		foreach (other, result->advice)
		{
			if (same_candidate(((Advice *) lfirst(other))->index,
							   lfirst(index)))
				advice = lfirst(other);
		}
		if (advice == NULL)
		{
			advice = palloc0(sizeof(Advice));
			advice->index = lfirst(index);
			result->advice = lappend(result->advice, advice);
		}
		advice->gains = lappend(advice->gains, lfirst(cell));
	}
}

/* a cost, by itself */
typedef struct Costing
{
	List *candidates;
	double cost;
} Costing;

static void
find_cost(Query *query, void *argument)
{
	Costing *costing = argument;
	List *used;

	costing->cost = cost_of(query, costing->candidates, &used);
}

/*
 * The cost of a statement with these indexes; -1 if it can no longer be
 * planned.
 */
double
cost_with(const Statement *statement, List *candidates)
{
	Costing costing = {candidates, -1};

	(void) with_query(statement, find_cost, &costing);
	return costing.cost;
}
