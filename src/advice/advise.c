/*-------------------------------------------------------------------------
 *
 * advise.c
 *	  Which indexes the counted statements would gain from.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "advice/advise.h"
#include "ledger/ledger.h"

/* milliseconds that one more index takes for each row that is written */
#define WRITE_MS 0.01
/* a gain has to be this many times what it costs writers */
#define WORTH 2.0
/* how much a statement's cost may grow where two indexes become one */
#define MERGE_TOLERANCE 1.25
#define PARTIAL_TOLERANCE 2.0

/*
 * Would all statements of one piece of advice be about as fast with another
 * index instead?
 */
static bool
can_do_with(const Advice *advice, Candidate *index, double tolerance)
{
	ListCell *cell;

	foreach (cell, advice->gains)
	{
		const StatementGain *gain = lfirst(cell);
		double cost = cost_with(gain->statement,
								lappend(list_copy(gain->others), index));

		if (cost < 0 || cost > tolerance * gain->after + 1)
			return false;
	}
	return true;
}

/*
 * One index that begins with all columns of the narrower one.
 */
static Candidate *
begin_with(const Candidate *narrow, const Candidate *wide)
{
	List *columns = list_copy(narrow->columns);
	int common = 0;
	ListCell *cell;
	ListCell *other;

	if (narrow->relation != wide->relation ||
		list_length(narrow->columns) > list_length(wide->columns) ||
		(narrow->predicate != NIL &&
		 !equal(narrow->predicate, wide->predicate)))
		return NULL;
	foreach (cell, wide->columns)
	{
		bool known = false;

		foreach (other, narrow->columns)
			known = known || same_column(lfirst(cell), lfirst(other));
		if (known)
			common++;
		else
			columns = lappend(columns, lfirst(cell));
	}
	if (common < list_length(narrow->columns))
		return NULL;
	return make_candidate(wide->relation, columns, narrow->predicate, 1);
}

/*
 * Merge two pieces of advice where one index serves both.
 */
static bool
merge_two(Advice *narrow, Advice *wide)
{
	Candidate *both = begin_with(narrow->index, wide->index);
	ListCell *cell;

	if (both == NULL)
		return false;
	both->fraction = narrow->index->fraction;
	if (!can_do_with(narrow, both, MERGE_TOLERANCE) ||
		!can_do_with(wide, both,
					 equal(narrow->index->predicate, wide->index->predicate)
						 ? MERGE_TOLERANCE
						 : PARTIAL_TOLERANCE))
		return false;
	foreach (cell, narrow->gains)
	{
		StatementGain *gain = lfirst(cell);

		gain->after =
			cost_with(gain->statement, lappend(list_copy(gain->others), both));
		wide->gains = lappend(wide->gains, gain);
	}
	foreach (cell, wide->gains)
	{
		StatementGain *gain = lfirst(cell);

		gain->others = list_delete_ptr(gain->others, wide->index);
	}
	wide->index = both;
	return true;
}

/*
 * Merge advice until no index can replace another.
 */
static void
merge_advice(AdviceResult *result)
{
	bool merged = true;

	while (merged)
	{
		ListCell *cell;
		ListCell *other;

		merged = false;
		foreach (cell, result->advice)
		{
			Advice *narrow = lfirst(cell);

			CHECK_FOR_INTERRUPTS();
			foreach (other, result->advice)
			{
				if (lfirst(other) != narrow &&
					merge_two(narrow, lfirst(other)))
				{
					result->advice = list_delete_ptr(result->advice, narrow);
					merged = true;
					break;
				}
			}
			if (merged)
				break;
		}
	}
}

/*
 * Rows that are written to the table a day, and rows in it.
 */
static void
read_writes(const Advice *advice, double *writes, double *tuples)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	bool isnull;

	ledger_enter(&scope);
	bind_oid(&query, advice->index->relation);
	(void) ledger_query(
		&query,
		"SELECT pgmaint_internal.writes_per_day($1), "
		"coalesce(pg_catalog.sum(greatest(0, c.reltuples)), 0)::pg_catalog.float8 "
		"FROM pg_catalog.pg_class c "
		"WHERE c.relkind IN ('r', 'm') AND (c.oid = $1 OR EXISTS (SELECT FROM "
		"pg_catalog.pg_partition_ancestors(c.oid) a WHERE c.relispartition AND a.relid = $1))");
	*writes = DatumGetFloat8(ledger_datum(0, 1, &isnull));
	*tuples = DatumGetFloat8(ledger_datum(0, 2, &isnull));
	ledger_leave(&scope);
}

static int
by_gain(const ListCell *one, const ListCell *other)
{
	double a = ((const Advice *) lfirst(one))->gain_ms;
	double b = ((const Advice *) lfirst(other))->gain_ms;

	return (a < b) - (a > b);
}

/*
 * Compare the gain of statements with the cost for writers, and sort by gain.
 */
static void
weigh_advice(AdviceResult *result)
{
	List *kept = NIL;
	ListCell *cell;
	ListCell *inner;

	foreach (cell, result->advice)
	{
		Advice *advice = lfirst(cell);
		double tuples;

		foreach (inner, advice->gains)
		{
			const StatementGain *gain = lfirst(inner);

			advice->gain_ms += gain->statement->total_ms /
							   gain->statement->days *
							   (1 - gain->after / gain->before) /
							   (1 + list_length(gain->others));
		}
		read_writes(advice, &advice->writes_per_day, &tuples);
		advice->write_ms = WRITE_MS * advice->writes_per_day;
		advice->bytes = estimate_index_bytes(advice->index, tuples);
		if (advice->gain_ms < WORTH * advice->write_ms)
			leave_out(
				result,
				psprintf(
					"an index on \"%s\" would cost more on writes than it saves on reads",
					get_rel_name(advice->index->relation)),
				((StatementGain *) linitial(advice->gains))->statement->text);
		else
			kept = lappend(kept, advice);
	}
	list_sort(kept, by_gain);
	result->advice = kept;
}

/*
 * Evaluate all statements, and collect the advice.
 */
void
find_advice(const AdviceLimits *limits, AdviceResult *result)
{
	List *statements = read_statements(limits);
	int settings;
	ListCell *cell;

	memset(result, 0, sizeof(AdviceResult));
	foreach (cell, statements)
	{
		CHECK_FOR_INTERRUPTS();
		evaluate_statement(lfirst(cell), limits, result);
	}
	merge_advice(result);
	weigh_advice(result);
	/* names are printed with their schemas under this path */
	settings = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	foreach (cell, result->advice)
	{
		Advice *advice = lfirst(cell);

		advice->command = create_index_command(advice->index);
		compare_with_existing(advice);
	}
	AtEOXact_GUC(false, settings);
}
