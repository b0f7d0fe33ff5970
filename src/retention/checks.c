/*-------------------------------------------------------------------------
 *
 * checks.c
 *	  Checks of add_retention beside those that every run makes.
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
 * The column must exist, and be of type date, timestamp or timestamptz.
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
			 ? errhint("Add a column of type date, timestamp or timestamptz "
					   "to the table.")
			 : errhint("Name one of these columns: %s.", columns)));
}

/*
 * Warn of a missing index: every run would read the whole table.
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
			 errhint("Create an index with CREATE INDEX CONCURRENTLY ON %s "
					 "(%s).",
					 qualified_name(relation), quote_identifier(column))));
}

/*
 * Check the condition by preparing a query as the role whose rights it will be
 * evaluated with; nothing is executed.
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
 * There is no default storage: archives on pgmaint_local are lost with this
 * server.
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
		 errdetail("These storages exist: %s.",
				   ledger_text(0, 1) == NULL
					   ? "'pgmaint_local'"
					   : psprintf("%s, 'pgmaint_local'", ledger_text(0, 1))),
		 errhint("Pass storage => 'NAME', or archive => false to delete rows "
				 "without archiving them. Archives in 'pgmaint_local' are "
				 "below the data directory of this server: standbys do not "
				 "have them, pg_upgrade does not copy them, and pg_rewind "
				 "removes them.")));
}

static bool
is_positive(const Interval *interval)
{
	Interval zero = {0};

	return DatumGetBool(DirectFunctionCall2(
		interval_gt, IntervalPGetDatum(interval), IntervalPGetDatum(&zero)));
}

/*
 * Beyond this limit, times of the policy would be out of the server's range,
 * and each of its runs would fail.
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
				 errhint("Pass the age from which rows are removed, for "
						 "example keep => interval '90 days'.")));
}

/*
 * Months have no fixed length, so a slice consists either of months or of days
 * and hours.
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
				 errmsg("slice must be at least one minute and must not "
						"combine months with days or hours"),
				 errhint("Pass for example slice => interval '1 day' or "
						 "slice => interval '1 month', or omit slice to "
						 "choose it by size.")));
}

void
check_slice_of_dates(const RetentionPolicy *policy, const Interval *slice)
{
	if (time_column_type(policy->relation, policy->time_column) == DATEOID &&
		slice->time != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("slice must be a whole number of days because column "
						"\"%s\" is a date",
						policy->time_column),
				 errhint("Pass for example slice => interval '1 day'.")));
}
