/*-------------------------------------------------------------------------
 *
 * report.c
 *	  Advice on indexes, in words.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"

#include "advice/report.h"
#include "base/wording.h"

#define QUERY_LENGTH 90
#define MAX_QUERIES 5
#define MAX_REASONS 20

/*
 * The beginning of a statement, in one line.
 */
static char *
shorten(const char *text)
{
	StringInfoData line;
	int length;

	initStringInfo(&line);
	for (const char *here = text; *here != '\0'; here++)
	{
		if (!isspace((unsigned char) *here))
			appendStringInfoChar(&line, *here);
		else if (line.len > 0 && line.data[line.len - 1] != ' ')
			appendStringInfoChar(&line, ' ');
	}
	if (line.len <= QUERY_LENGTH)
		return line.data;
	length = pg_mbcliplen(line.data, line.len, QUERY_LENGTH);
	line.data[length] = '\0';
	return psprintf("%s...", line.data);
}

char *
describe_gain(const Advice *advice)
{
	return psprintf("%s a day", duration_text((int64) advice->gain_ms));
}

char *
describe_price(const Advice *advice)
{
	return psprintf("about %s, %.0f rows written a day",
					size_text((int64) advice->bytes), advice->writes_per_day);
}

/*
 * A line for each statement that gains, up to so many.
 */
char *
describe_queries(const Advice *advice)
{
	StringInfoData lines;
	int shown = 0;
	ListCell *cell;

	initStringInfo(&lines);
	foreach (cell, advice->gains)
	{
		const StatementGain *gain = lfirst(cell);

		if (shown == MAX_QUERIES)
		{
			appendStringInfo(&lines, "\nand %d more",
							 list_length(advice->gains) - shown);
			break;
		}
		appendStringInfo(
			&lines, "%s%.0f calls of %.1f ms, cost %.0f -> %.0f: %s",
			shown++ > 0 ? "\n" : "", gain->statement->calls,
			gain->statement->total_ms / gain->statement->calls, gain->before,
			gain->after, shorten(gain->statement->text));
	}
	return lines.data;
}

Datum
list_query_ids(const Advice *advice)
{
	Datum *values = palloc(sizeof(Datum) * list_length(advice->gains));
	int count = 0;
	ListCell *cell;

	foreach (cell, advice->gains)
		values[count++] = Int64GetDatum(
			((const StatementGain *) lfirst(cell))->statement->query_id);
	return PointerGetDatum(construct_array(values, count, INT8OID,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/*
 * The ratio of each statement's cost with the index to that without.
 */
Datum
list_cost_ratios(const Advice *advice)
{
	Datum *values = palloc(sizeof(Datum) * list_length(advice->gains));
	int count = 0;
	ListCell *cell;

	foreach (cell, advice->gains)
	{
		const StatementGain *gain = lfirst(cell);

		values[count++] = Float8GetDatum(gain->after / gain->before);
	}
	return PointerGetDatum(construct_array(values, count, FLOAT8OID,
										   sizeof(float8), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/*
 * The statements without advice and the reasons, in lines.
 */
char *
describe_what_was_left(const AdviceResult *result)
{
	StringInfoData lines;
	int shown = 0;
	ListCell *cell;

	initStringInfo(&lines);
	foreach (cell, result->left_out)
	{
		const LeftOut *entry = lfirst(cell);

		if (shown == MAX_REASONS)
		{
			appendStringInfo(&lines, "\nand %d more reasons",
							 list_length(result->left_out) - shown);
			break;
		}
		appendStringInfo(&lines, "%s%s (%d", shown++ > 0 ? "\n" : "",
						 entry->why, entry->count);
		if (entry->example != NULL)
			appendStringInfo(&lines, ", such as %s", shorten(entry->example));
		appendStringInfoChar(&lines, ')');
	}
	return lines.data;
}

void
report_left_out(const AdviceResult *result)
{
	if (result->left_out != NIL)
		ereport(NOTICE,
				(errmsg("%d statements were examined; some have no advice",
						result->looked_at),
				 errdetail("%s", describe_what_was_left(result))));
}
