/*-------------------------------------------------------------------------
 *
 * statement_counts.c
 *	  The statistics of pg_stat_statements, in the columns of all its
 *	  versions.
 *
 * Its functions are called by OID.  Its views are not used: they are found by
 * name, and the owner of their schema can create others with these names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/extension_member.h"
#include "base/rights.h"

PG_FUNCTION_INFO_V1(pgmaint_statements_refused);
PG_FUNCTION_INFO_V1(pgmaint_statement_statistics);
PG_FUNCTION_INFO_V1(pgmaint_statements_since);

#define EXTENSION "pg_stat_statements"

/*
 * at most this many columns of pg_stat_statements are added up to one of ours
 */
#define MAX_PARTS 4

/*
 * The columns of pgmaint_internal.statement_statistics(), each with the source
 * columns of newer and of older versions.
 */
static const char *const sources[][2] = {
	{"userid"},
	{"dbid"},
	{"toplevel"},
	{"queryid"},
	{"query"},
	{"calls"},
	{"rows"},
	{"total_exec_time", "total_time"},
	{"mean_exec_time", "mean_time"},
	{"min_exec_time", "min_time"},
	{"max_exec_time", "max_time"},
	{"stddev_exec_time", "stddev_time"},
	{"plans"},
	{"total_plan_time"},
	{"shared_blks_hit"},
	{"shared_blks_read"},
	{"shared_blks_dirtied"},
	{"shared_blks_written"},
	{"local_blks_hit"},
	{"local_blks_read"},
	{"local_blks_dirtied"},
	{"local_blks_written"},
	{"temp_blks_read"},
	{"temp_blks_written"},
	{"shared_blk_read_time+local_blk_read_time", "blk_read_time"},
	{"shared_blk_write_time+local_blk_write_time", "blk_write_time"},
	{"temp_blk_read_time"},
	{"temp_blk_write_time"},
	{"wal_records"},
	{"wal_fpi"},
	{"wal_bytes"},
	{"jit_generation_time+jit_inlining_time+jit_optimization_time"
	 "+jit_emission_time"},
	{"stats_since"},
	{"minmax_stats_since"},
};

#define COLUMNS lengthof(sources)
#define DATABASE_COLUMN 1

/* source of a column: the numbers of columns that are added up */
typedef struct Parts
{
	int count; /* 0: this version does not count it */
	int columns[MAX_PARTS];
} Parts;

/*
 * The function that all versions have.
 */
static bool
find_counting_function(MemberFunction *function)
{
	static const Oid types[] = {BOOLOID};

	return find_member_function(EXTENSION, "pg_stat_statements", 1, types,
								function);
}

/*
 * pgmaint_internal.statements_refused() returns text
 */
Datum
pgmaint_statements_refused(PG_FUNCTION_ARGS)
{
	MemberFunction function;

	if (find_counting_function(&function))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(
		function.refusal != NULL
			? function.refusal
			: "the extension does not have the function pg_stat_statements"));
}

/*
 * Are statements counted?  Without its library, pg_stat_statements raises an
 * error instead of returning rows.
 *
 * The statement has the caller's rights, and names a schema that another role
 * may own where the tables are of an older version, or the schema was renamed.
 */
static bool
statements_are_counted(void)
{
	bool counted;

	require_extension();
	SPI_connect();
	if (SPI_execute(
			"SELECT WHERE pgmaint_internal.statements_missing() IS NULL", true,
			0) != SPI_OK_SELECT)
		elog(ERROR, "could not look for pg_stat_statements");
	counted = SPI_processed > 0;
	SPI_finish();
	return counted;
}

/*
 * The number of a column with this name and type, or 0.
 */
static int
find_column(TupleDesc descriptor, const char *name, Oid type)
{
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(descriptor, i);

		if (!column->attisdropped && column->atttypid == type &&
			strcmp(NameStr(column->attname), name) == 0)
			return i + 1;
	}
	return 0;
}

/*
 * Find all columns of a source.
 */
static bool
find_parts(TupleDesc descriptor, const char *source, Oid type, Parts *parts)
{
	char *name = pstrdup(source);

	parts->count = 0;
	while (name != NULL)
	{
		char *end = strchr(name, '+');
		int column;

		if (end != NULL)
			*end++ = '\0';
		column = find_column(descriptor, name, type);
		if (column == 0)
		{
			parts->count = 0;
			return false;
		}
		parts->columns[parts->count++] = column;
		name = end;
	}
	return true;
}

/*
 * A value, or the sum of several; null when one of them is.
 */
static Datum
read_parts(TupleTableSlot *row, const Parts *parts, bool *isnull)
{
	Datum value;
	double sum;

	*isnull = true;
	if (parts->count == 0)
		return (Datum) 0;
	value = slot_getattr(row, parts->columns[0], isnull);
	if (*isnull || parts->count == 1)
		return value;
	sum = DatumGetFloat8(value);
	for (int i = 1; i < parts->count && !*isnull; i++)
		sum += DatumGetFloat8(slot_getattr(row, parts->columns[i], isnull));
	return Float8GetDatum(sum);
}

/*
 * pgmaint_internal.statement_statistics()
 */
Datum
pgmaint_statement_statistics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	const NullableDatum with_texts = {BoolGetDatum(true), false};
	MemberFunction function;
	Parts parts[COLUMNS];
	TupleDesc descriptor;
	Tuplestorestate *rows;
	TupleTableSlot *row;

	materialize_result(fcinfo);
	if (set->setDesc->natts != COLUMNS)
		elog(ERROR, "unexpected number of columns: %d", set->setDesc->natts);
	if (!statements_are_counted() || !find_counting_function(&function))
		return (Datum) 0;
	rows = call_member_set(function.oid, 1, &with_texts, &descriptor);
	for (int i = 0; i < COLUMNS; i++)
	{
		Oid type = TupleDescAttr(set->setDesc, i)->atttypid;

		if (!find_parts(descriptor, sources[i][0], type, &parts[i]) &&
			sources[i][1] != NULL)
			(void) find_parts(descriptor, sources[i][1], type, &parts[i]);
	}
	row = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, row))
	{
		Datum values[COLUMNS];
		bool nulls[COLUMNS] = {0};

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < COLUMNS; i++)
			values[i] = read_parts(row, &parts[i], &nulls[i]);
		if (!nulls[DATABASE_COLUMN] &&
			DatumGetObjectId(values[DATABASE_COLUMN]) == MyDatabaseId)
			tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	ExecDropSingleTupleTableSlot(row);
	tuplestore_end(rows);
	return (Datum) 0;
}

/*
 * pgmaint_internal.statements_since(OUT counted_since timestamptz, OUT evicted
 * bigint)
 *
 * Versions before 1.9 of pg_stat_statements do not record it; they have
 * counted since the server started, unless they were reset or kept their file.
 */
Datum
pgmaint_statements_since(PG_FUNCTION_ARGS)
{
	Datum values[2] = {0};
	bool nulls[2] = {true, true};
	MemberFunction function;
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (statements_are_counted())
	{
		if (find_member_function(EXTENSION, "pg_stat_statements_info", 0, NULL,
								 &function))
		{
			HeapTupleHeader info = DatumGetHeapTupleHeader(
				call_member_function(function.oid, 0, NULL));

			values[0] = GetAttributeByName(info, "stats_reset", &nulls[0]);
			values[1] = GetAttributeByName(info, "dealloc", &nulls[1]);
		}
		if (nulls[0])
			values[0] = TimestampTzGetDatum(PgStartTime);
		nulls[0] = false;
	}
	return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}
