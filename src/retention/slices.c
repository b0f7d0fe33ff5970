/*-------------------------------------------------------------------------
 *
 * slices.c
 *	  How the old rows of a table are cut into pieces by time.
 *
 * A slice is one task, one transaction and one object, so several are
 * processed in parallel and a crash loses the work of one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/rights.h"
#include "retention/owner.h"
#include "retention/partition.h"
#include "retention/slices.h"

/* more than this wait for the next run */
#define MAX_SLICES 1000

/* rows without a time are counted up to this */
#define MAX_COUNTED 1000000

/*
 * A time column may have a domain as its type.  Values compared with it have
 * the base type, which the index operators of the server are for.
 */
const char *
time_type_name(Oid type)
{
	switch (type)
	{
		case DATEOID:
			return "pg_catalog.date";
		case TIMESTAMPOID:
			return "pg_catalog.timestamp";
		default:
			return "pg_catalog.timestamptz";
	}
}

/*
 * Condition for rows from one time on and before another; from may be NULL. 
 * In queries that are executed, the times are followed by their type.
 */
static char *
condition(const RetentionPolicy *policy, const char *from, const char *to,
		  const char *cast)
{
	const char *column = quote_identifier(policy->time_column);
	char *lower = from == NULL ? pstrdup("")
							   : psprintf("%s >= %s%s AND ", column,
										  quote_literal_cstr(from), cast);

	return psprintf("%s%s < %s%s%s", lower, column, quote_literal_cstr(to),
					cast, filter_condition(policy->filter));
}

char *
slice_condition(const RetentionPolicy *policy, Oid relation, const char *from,
				const char *to)
{
	return condition(policy, from, to,
					 psprintf("::%s", time_type_name(time_column_type(
										  relation, policy->time_column))));
}

/*
 * The same condition for display.
 */
char *
describe_slice(const RetentionPolicy *policy, const char *from, const char *to)
{
	return condition(policy, from, to, "");
}

/*
 * Run a query on the table as its owner, whose filter is in it; returns the
 * first column of the first row as text.
 */
static char *
query_as_owner(Oid owner, const char *sql)
{
	SavedRights caller;
	LedgerQuery query = {0};
	char *answer = NULL;

	become_table_owner(owner, &caller);
	if (ledger_query_once(&query, sql) > 0)
		answer = ledger_text(0, 1);
	resume_caller(&caller);
	return answer;
}

/*
 * The number of rows that the planner expects, and the bytes of the table that
 * they take.
 */
static int64
estimate(Oid owner, Oid relation, const char *condition, int64 *bytes)
{
	SavedRights caller;
	SPIPlanPtr plan;
	CachedPlan *cached;
	double rows = 0;
	HeapTuple tuple;
	double share = 1;
	char *name = hold_name(relation);

	become_table_owner(owner, &caller);
	plan = SPI_prepare(
		psprintf("SELECT FROM ONLY %s WHERE %s", name, condition), 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	cached = SPI_plan_get_cached_plan(plan);
	if (cached != NULL)
	{
		rows =
			linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
		ReleaseCachedPlan(cached, NULL);
	}
	SPI_freeplan(plan);
	resume_caller(&caller);

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (HeapTupleIsValid(tuple))
	{
		float4 all = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;

		if (all > 0)
			share = Min(rows / all, 1);
		ReleaseSysCache(tuple);
	}
	*bytes = (int64) (share * (double) DatumGetInt64(DirectFunctionCall1(
								  pg_table_size, ObjectIdGetDatum(relation))));
	return (int64) rows;
}

/*
 * The format of a time in a key.
 */
static const char *
key_format(Oid type)
{
	switch (type)
	{
		case DATEOID:
			return "YYYYMMDD";
		case TIMESTAMPOID:
			return "YYYYMMDD\"T\"HH24MISS";
		default:
			return "YYYYMMDD\"T\"HH24MISS\"Z\"";
	}
}

/*
 * Format a time for a key; a timestamptz in UTC.
 */
static char *
format_time(Oid type, const char *time)
{
	Datum value = TimestampGetDatum(time_as_number(type, time));

	if (type == DATEOID)
		value = DirectFunctionCall1(
			date_timestamp, DateADTGetDatum((DateADT) DatumGetInt64(value)));
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
		return pstrdup("beginning");
	return TextDatumGetCString(
		DirectFunctionCall2Coll(timestamp_to_char, C_COLLATION_OID, value,
								CStringGetTextDatum(key_format(type))));
}

/*
 * A range for a key, such as 20260101T000000Z_20260201T000000Z; from may be
 * NULL.
 */
char *
range_name(Oid type, const char *from, const char *to)
{
	return psprintf("%s_%s",
					from == NULL ? "beginning" : format_time(type, from),
					format_time(type, to));
}

/*
 * The length of a slice: that of the policy, or one that gives about the
 * requested size; NULL for a slice that goes up to the cut-off.
 */
static char *
choose_step(const RetentionPolicy *policy, Oid type, const char *first,
			const char *cutoff, int64 pieces)
{
	LedgerQuery query = {0};

	bind_bigint(&query, policy->policy_id);
	bind_text(&query, first);
	bind_text(&query, cutoff);
	bind_bigint(&query, pieces);
	bind_text(&query, type == DATEOID ? "1 day" : "1 hour");
	(void) ledger_query(
		&query,
		"SELECT coalesce(p.slice, CASE WHEN $4 > 1 THEN coalesce("
		"(SELECT pg_catalog.max(i) FROM pg_catalog.unnest("
		"'{1 hour,2 hours,3 hours,6 hours,12 hours,1 day,2 days,4 days,7 days,14 days,"
		"1 month,2 months,3 months,6 months,1 year}'"
		"::pg_catalog.interval[]) i WHERE i >= $5::pg_catalog.interval AND i <= "
		"($3::pg_catalog.timestamptz - $2::pg_catalog.timestamptz) / $4::pg_catalog.float8), "
		"$5::pg_catalog.interval) END)::text "
		"FROM pgmaint.retention_policies p WHERE p.policy_id = $1");
	return ledger_text(0, 1);
}

/*
 * The end of the slice that holds a time.  Boundaries are at the beginning of
 * a month, a day or an hour, except for the cut-off.
 */
static char *
end_of_slice(Oid type, const char *time, const char *step, const char *cutoff)
{
	LedgerQuery query = {0};
	const char *in_utc = type == TIMESTAMPTZOID ? " AT TIME ZONE 'UTC'"
												: "::pg_catalog.timestamp";

	if (step == NULL)
		return pstrdup(cutoff);
	bind_text(&query, time);
	bind_text(&query, step);
	bind_text(&query, cutoff);
	(void) ledger_query_once(
		&query,
		psprintf(
			"SELECT pg_catalog.to_jsonb(least(b.boundary%2$s, $3::%1$s)) #>> '{}' "
			"FROM (SELECT $1::%1$s%3$s AS t, $2::pg_catalog.interval AS step) g "
			"CROSS JOIN LATERAL (SELECT 12 * pg_catalog.date_part('year', g.step)::int4 "
			"+ pg_catalog.date_part('month', g.step)::int4 AS months) m "
			"CROSS JOIN LATERAL (SELECT 12 * (pg_catalog.date_part('year', g.t) - 2000 "
			"+ CASE WHEN pg_catalog.date_part('year', g.t) < 0 THEN 1 ELSE 0 END) "
			"+ pg_catalog.date_part('month', g.t) - 1 AS since) s "
			"CROSS JOIN LATERAL (SELECT CASE WHEN m.months = 0 "
			"THEN pg_catalog.date_bin(g.step, g.t, '2000-01-03') + g.step "
			"ELSE '2000-01-01'::pg_catalog.timestamp + pg_catalog.make_interval(months => "
			"((pg_catalog.floor(s.since / m.months) + 1) * m.months)::int4) END AS boundary) b",
			time_type_name(type),
			type == DATEOID ? "::pg_catalog.date" : in_utc, in_utc));
	return ledger_text(0, 1);
}

static char *
oldest_time(Oid owner, Oid relation, const char *column, const char *condition)
{
	return query_as_owner(
		owner,
		psprintf("SELECT pg_catalog.to_jsonb(%s) #>> '{}' FROM ONLY %s WHERE "
				 "%s ORDER BY %s LIMIT 1",
				 column, hold_name(relation), condition, column));
}

/*
 * Is there a row in a table, of any time?
 */
bool
table_has_rows(Oid relation)
{
	return query_as_owner(table_owner(relation),
						  psprintf("SELECT 'yes' FROM ONLY %s LIMIT 1",
								   hold_name(relation))) != NULL;
}

/*
 * Does an index make it cheap to find the oldest row from some time on?
 */
static bool
has_index_on(Oid relation, const char *column)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	bind_integer(&query, get_attnum(relation, column));
	return ledger_query(
			   &query,
			   "SELECT FROM pg_catalog.pg_index i "
			   "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
			   "JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'btree' "
			   "WHERE i.indrelid = $1 AND i.indkey[0] = $2 AND i.indisvalid "
			   "AND i.indpred IS NULL") > 0;
}

/*
 * The beginning of the next slice, or NULL: at the next row, where that is
 * cheap to find, so that ranges without rows make no slices.
 */
static char *
next_beginning(const RetentionPolicy *policy, Oid owner, Oid relation,
			   const char *from, const char *cutoff, bool indexed)
{
	if (strcmp(from, cutoff) == 0)
		return NULL;
	if (!indexed)
		return pstrdup(from);
	return oldest_time(owner, relation, quote_identifier(policy->time_column),
					   slice_condition(policy, relation, from, cutoff));
}

/*
 * Cut the rows older than the cut-off into slices.  Sets more if some are left
 * for another run.
 *
 * Only a slice with rows of -infinity is open: a row that is inserted later
 * and older than all others waits for the next run, so that the range of an
 * archive covers all of its rows.
 */
List *
cut_into_slices(const RetentionPolicy *policy, Oid relation,
				const char *cutoff, int64 slice_bytes, bool *more)
{
	Oid owner = table_owner(relation);
	Oid type = time_column_type(relation, policy->time_column);
	const char *column = quote_identifier(policy->time_column);
	char *old = slice_condition(policy, relation, NULL, cutoff);
	char *from = oldest_time(owner, relation, column, old);
	List *slices = NIL;
	ListCell *cell;
	char *step;
	int64 rows;
	int64 bytes;
	bool indexed;
	bool open;

	*more = false;
	if (from == NULL)
		return NIL;
	indexed = has_index_on(relation, policy->time_column);
	rows = estimate(owner, relation, old, &bytes);
	open = strcmp(from, "-infinity") == 0;
	if (open)
	{
		from = oldest_time(owner, relation, column,
						   psprintf("%s > '-infinity' AND %s", column, old));
		if (from == NULL)
			from = pstrdup(cutoff);
	}
	step = choose_step(policy, type, from, cutoff,
					   (int64) ceil((double) bytes / (double) slice_bytes));
	do
	{
		Slice *slice = palloc0(sizeof(Slice));

		CHECK_FOR_INTERRUPTS();
		slice->open = open;
		slice->from = open ? "-infinity" : from;
		slice->to = end_of_slice(type, from, step, cutoff);
		open = false;
		slice->name = range_name(type, slice->from, slice->to);
		slices = lappend(slices, slice);
		from = next_beginning(policy, owner, relation, slice->to, cutoff,
							  indexed);
	} while (from != NULL && list_length(slices) < MAX_SLICES);
	*more = from != NULL;
	foreach (cell, slices)
	{
		Slice *slice = lfirst(cell);

		slice->rows = rows / list_length(slices);
		slice->bytes = bytes / list_length(slices);
	}
	return slices;
}

/*
 * The number of rows without a time, which are never removed.
 */
int64
rows_without_time(const RetentionPolicy *policy, Oid relation)
{
	HeapTuple tuple = SearchSysCacheAttName(relation, policy->time_column);
	bool possible = HeapTupleIsValid(tuple) &&
					!((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	char *answer;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!possible)
		return 0;
	answer = query_as_owner(
		table_owner(relation),
		psprintf("SELECT pg_catalog.count(*)::text FROM (SELECT FROM ONLY %s "
				 "WHERE %s IS NULL%s LIMIT %d) x",
				 hold_name(relation), quote_identifier(policy->time_column),
				 filter_condition(policy->filter), MAX_COUNTED));
	return answer == NULL ? 0
						  : DatumGetInt64(DirectFunctionCall1(
								int8in, CStringGetDatum(answer)));
}
