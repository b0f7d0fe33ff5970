/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  What is learnt of an archive while it is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "retention/reading.h"

/*
 * A newline between quotes belongs to a value.  A doubled quote ends and begins
 * one, which comes to the same.
 */
void
count_csv_rows(CsvCounter *counter, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (data[i] == '"')
			counter->quoted = !counter->quoted;
		if (data[i] == '\n' && !counter->quoted)
		{
			counter->lines++;
			counter->in_line = false;
		}
		else
			counter->in_line = true;
	}
}

/*
 * Without the header.
 */
int64
csv_rows(const CsvCounter *counter)
{
	return Max(counter->lines + (counter->in_line ? 1 : 0) - 1, 0);
}
