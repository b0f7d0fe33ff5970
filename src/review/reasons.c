/*-------------------------------------------------------------------------
 *
 * reasons.c
 *	  The reasons why queries have no plan, as JSON and for a report.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "base/wording.h"
#include "review/reasons.h"

/* a reason why queries were not planned, and their number */
typedef struct ReasonCount
{
	const char *reason;
	int queries;
} ReasonCount;

static void
count_reason(List **counts, const char *reason)
{
	ReasonCount *count;
	ListCell *cell;

	foreach (cell, *counts)
	{
		count = lfirst(cell);
		if (strcmp(count->reason, reason) == 0)
		{
			count->queries++;
			return;
		}
	}
	count = palloc(sizeof(ReasonCount));
	count->reason = reason;
	count->queries = 1;
	*counts = lappend(*counts, count);
}

static int
compare_reasons(const ListCell *a, const ListCell *b)
{
	const ReasonCount *one = lfirst(a);
	const ReasonCount *other = lfirst(b);

	if (one->queries != other->queries)
		return one->queries > other->queries ? -1 : 1;
	return strcmp(one->reason, other->reason);
}

/*
 * The reasons as a JSON object, with the number of queries of each.
 */
char *
count_reasons(List *reasons)
{
	StringInfoData json;
	List *counts = NIL;
	ListCell *cell;

	foreach (cell, reasons)
		count_reason(&counts, lfirst(cell));
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	foreach (cell, counts)
	{
		const ReasonCount *count = lfirst(cell);

		appendStringInfoString(&json, json.len == 1 ? "" : ", ");
		escape_json(&json, count->reason);
		appendStringInfo(&json, ": %d", count->queries);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* reasons that a report names */
#define NAMED_REASONS 5
/* how the message of generic_plan_of() ends for commands that have no plan */
#define NO_GENERIC_PLAN " has no generic plan"

/*
 * The reasons as remarks for a report, a JSON array: the most frequent, and how
 * many queries have others.  Commands that have no plan are one reason.
 */
char *
remarks_on_reasons(List *reasons)
{
	StringInfoData json;
	List *counts = NIL;
	int others = 0;
	ListCell *cell;

	foreach (cell, reasons)
	{
		const char *reason = lfirst(cell);
		size_t length = strlen(reason);
		size_t ending = strlen(NO_GENERIC_PLAN);

		if (length >= ending &&
			strcmp(reason + length - ending, NO_GENERIC_PLAN) == 0)
			reason = "utility commands";
		count_reason(&counts, reason);
	}
	list_sort(counts, compare_reasons);
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach (cell, counts)
	{
		const ReasonCount *count = lfirst(cell);

		if (foreach_current_index(cell) >= NAMED_REASONS)
		{
			others += count->queries;
			continue;
		}
		appendStringInfoString(&json, json.len == 1 ? "" : ", ");
		escape_json(&json,
					psprintf("%s without a plan: %s",
							 counted(count->queries, "query", "queries"),
							 count->reason));
	}
	if (others > 0)
	{
		appendStringInfoString(&json, ", ");
		escape_json(&json, psprintf("%s without a plan for other reasons",
									counted(others, "query", "queries")));
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}
