/*-------------------------------------------------------------------------
 *
 * results.c
 *	  Columns of the rows of the last query, by number or by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "ledger/ledger.h"

/*
 * The number of the column with this name, which must be unique: a name
 * without a column, or with two, is a mistake in the query, and would
 * otherwise read as NULL or as the value of another column.
 */
int
ledger_column(const char *name)
{
	TupleDesc columns = SPI_tuptable->tupdesc;
	int found = 0;

	for (int i = 0; i < columns->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), name) != 0)
			continue;
		if (found > 0)
			elog(ERROR, "query has two columns named \"%s\"", name);
		found = i + 1;
	}
	if (found == 0)
		elog(ERROR, "query has no column named \"%s\"", name);
	return found;
}

/*
 * A column as text in the current memory context, NULL for the SQL NULL.
 */
char *
ledger_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						column);
}

Datum
ledger_datum(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/*
 * Numbers, with zero for NULL.
 */
int64
ledger_bigint(uint64 row, int column)
{
	bool isnull;
	Datum value = ledger_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

Oid
ledger_oid(uint64 row, int column)
{
	bool isnull;
	Datum value = ledger_datum(row, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

bool
ledger_boolean(uint64 row, int column)
{
	bool isnull;
	Datum value = ledger_datum(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

TimestampTz
ledger_time(uint64 row, int column, TimestampTz instead)
{
	bool isnull;
	Datum value = ledger_datum(row, column, &isnull);

	return isnull ? instead : DatumGetTimestampTz(value);
}
