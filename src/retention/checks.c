/*-------------------------------------------------------------------------
 *
 * checks.c
 *	  What add_retention refuses or warns of, beside what every run checks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "objects/storage_names.h"
#include "retention/checks.h"
#include "retention/owner.h"
#include "retention/slices.h"

/* of keep and slice */
#define MAX_YEARS 1000

/*
 * The column must be there, and hold times.
 */
void
check_time_column(Oid relation, const char *column)
{
	LedgerQuery query = {0};
	char *columns;

	if (OidIsValid(time_column_type(relation, column)))
		return;
	bind_oid(&query, relation);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) "
		"FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
		"WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped "
		"AND coalesce(nullif(t.typbasetype, 0), t.oid)::pg_catalog.regtype IN "
		"('pg_catalog.date', 'pg_catalog.timestamp', 'pg_catalog.timestamptz')");
	columns = ledger_text(0, 1);
	ereport(
		ERROR,
		(errcode(get_attnum(relation, column) == InvalidAttrNumber
					 ? ERRCODE_UNDEFINED_COLUMN
					 : ERRCODE_DATATYPE_MISMATCH),
		 get_attnum(relation, column) == InvalidAttrNumber
			 ? errmsg("column \"%s\" of table \"%s\" does not exist", column,
					  get_rel_name(relation))
			 : errmsg(
				   "column \"%s\" of table \"%s\" is not a date or a timestamp",
				   column, get_rel_name(relation)),
		 columns == NULL
			 ? errhint("Retention needs a column of type date, timestamp or "
					   "timestamptz.")
			 : errhint("Columns that hold times are: %s.", columns)));
}

/*
 * Every run would read the whole table without one.
 */
void
warn_without_index(Oid relation, const char *column)
{
	LedgerQuery query = {0};

	bind_oid(&query, relation);
	bind_integer(&query, get_attnum(relation, column));
	if (ledger_query(
			&query,
			"SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
			"JOIN pg_catalog.pg_am a ON a.oid = c.relam "
			"WHERE i.indrelid = $1 AND i.indkey[0] = $2 AND i.indisvalid "
			"AND a.amname IN ('btree', 'brin')") > 0)
		return;
	ereport(WARNING,
			(errmsg("table \"%s\" has no index that begins with column \"%s\"",
					get_rel_name(relation), column),
			 errdetail("Every run will read the whole table."),
			 errhint("Consider CREATE INDEX CONCURRENTLY ON %s (%s).",
					 qualified_name(relation), quote_identifier(column))));
}

/*
 * Let the server judge the condition, as the one whose rights it will be
 * evaluated with; nothing is evaluated here.
 */
void
check_condition(const RetentionPolicy *policy, Oid owner)
{
	SavedRights caller;
	SPIPlanPtr plan;
	char *name = hold_name(policy->relation);

	become_table_owner(owner, &caller);
	plan = SPI_prepare(
		psprintf("SELECT FROM ONLY %s WHERE %s", name,
				 slice_condition(policy, policy->relation, NULL, "infinity")),
		0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	SPI_freeplan(plan);
	resume_caller(&caller);
}

/*
 * Where archives go is for a person to say: what is on pgmaint_local is lost
 * with this server.
 */
void
refuse_no_storage(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(pg_catalog.quote_literal(s.srvname), ', ' ORDER BY s.srvname) "
		"FROM " STORAGES " AND s.srvname <> 'pgmaint_local'");
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("a policy that archives rows must name a storage"),
		 errdetail("Storages are: %s.",
				   ledger_text(0, 1) == NULL
					   ? "'pgmaint_local'"
					   : psprintf("%s, 'pgmaint_local'", ledger_text(0, 1))),
		 errhint("storage => 'pgmaint_local' keeps archives below the data "
				 "directory of this server only: no standby has them, "
				 "pg_upgrade leaves them behind and pg_rewind removes them. "
				 "archive => false deletes rows without archiving them.")));
}

static bool
is_positive(const Interval *interval)
{
	Interval zero = {0};

	return DatumGetBool(DirectFunctionCall2(
		interval_gt, IntervalPGetDatum(interval), IntervalPGetDatum(&zero)));
}

/*
 * Beyond this, times of the policy would be none that the server knows, and
 * each of its runs would fail.
 */
static void
refuse_too_long(const char *name, const Interval *interval)
{
	Interval longest = {0};

	longest.month = MAX_YEARS * MONTHS_PER_YEAR;
	if (DatumGetBool(DirectFunctionCall2(interval_gt,
										 IntervalPGetDatum(interval),
										 IntervalPGetDatum(&longest))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at most %d years", name, MAX_YEARS)));
}

void
check_keep(const Interval *keep)
{
	refuse_too_long("keep", keep);
	if (!is_positive(keep))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must be a positive interval"),
				 errhint("Rows whose time is further back than keep leave: "
						 "give for example interval '90 days'.")));
}

/*
 * Months have no length, so a slice is made of them or of days and hours.
 */
void
check_slice(const Interval *slice)
{
	refuse_too_long("slice", slice);
	if (slice->month != 0
			? slice->month < 0 || slice->day != 0 || slice->time != 0
			: !is_positive(slice) || slice->day < 0 || slice->time < 0 ||
				  (slice->day == 0 && slice->time < USECS_PER_MINUTE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("slice must be at least a minute, and either months "
						"or days and hours"),
				 errhint("Give for example interval '1 day' or interval '1 "
						 "month', or leave it out.")));
}

void
check_slice_of_dates(const RetentionPolicy *policy, const Interval *slice)
{
	if (time_column_type(policy->relation, policy->time_column) == DATEOID &&
		slice->time != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("slice must be whole days, since column \"%s\" is a "
						"date",
						policy->time_column),
				 errhint("Give for example interval '1 day'.")));
}
