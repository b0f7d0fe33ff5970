/*-------------------------------------------------------------------------
 *
 * add_verification.c
 *	  add_verification() and drop_verification().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "backup/verification_query.h"
#include "ledger/ledger.h"

PG_FUNCTION_INFO_V1(pgmaint_add_verification);
PG_FUNCTION_INFO_V1(pgmaint_drop_verification);

/* maximum length of an expected answer, in characters */
#define MAX_EXPECTED 1000

/* pgmaint.add_verification's arguments */
enum
{
	ARG_DATABASE,
	ARG_QUERY,
	ARG_EXPECTED,
	ARG_TIME_LIMIT
};

static void
require_arguments(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"database", "query", "expected",
										"time_limit"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(
				ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of a verification must not be null", names[i]),
				 i == ARG_EXPECTED
					 ? errhint(
						   "To expect a null answer, pass the text 'null'.")
					 : 0));
	}
}

static void
check_time_limit(const Interval *time_limit)
{
	Interval zero = {0};

	if (!DatumGetBool(DirectFunctionCall2(interval_gt,
										  IntervalPGetDatum(time_limit),
										  IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time_limit of a verification must be a positive "
						"interval, not %s",
						DatumGetCString(DirectFunctionCall1(
							interval_out, IntervalPGetDatum(time_limit)))),
				 errhint("Pass for example interval '5 minutes'.")));
}

static void
check_expected(const char *expected)
{
	if (pg_mbstrlen(expected) > MAX_EXPECTED)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("expected of a verification must not have more "
					"than %d characters",
					MAX_EXPECTED),
			 errhint("Compare the value inside the query, and expect true.")));
}

/*
 * An unknown database is only a notice: the backup may come from another
 * server.
 */
static void
notice_unknown_database(const char *database)
{
	LedgerQuery query = {0};

	bind_text(&query, database);
	if (ledger_query(
			&query,
			"SELECT FROM pg_catalog.pg_database d WHERE d.datname = $1::pg_catalog.name "
			"UNION ALL (SELECT FROM pgmaint_internal.backup_records b "
			"WHERE b.database = $1::pg_catalog.name LIMIT 1)") == 0)
		ereport(NOTICE,
				(errmsg("database \"%s\" does not exist and has no backup in "
						"the ledger",
						database)));
}

/*
 * The lock keeps two sessions from adding the same verification at the same
 * time.
 */
static void
refuse_equal(const char *database, const char *query, const char *expected)
{
	LedgerQuery none = {0};
	LedgerQuery equal = {0};

	(void) ledger_query(
		&none, "LOCK TABLE pgmaint.verifications IN SHARE ROW EXCLUSIVE MODE");
	bind_text(&equal, database);
	bind_text(&equal, query);
	bind_text(&equal, expected);
	if (ledger_query(
			&equal,
			"SELECT v.verification_id FROM pgmaint.verifications v "
			"WHERE v.database = $1::pg_catalog.name AND v.query = $2 AND v.expected = $3 LIMIT 1") >
		0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("verification %lld of database \"%s\" already has "
						"this query and expected answer",
						(long long) ledger_bigint(0, 1), database),
				 errhint("To change the time limit, drop the existing "
						 "verification first: SELECT "
						 "pgmaint.drop_verification(%lld).",
						 (long long) ledger_bigint(0, 1))));
}

/*
 * pgmaint.add_verification(database name, query text, expected text,
 * time_limit interval) returns bigint
 */
Datum
pgmaint_add_verification(PG_FUNCTION_ARGS)
{
	Oid role = GetUserId();
	LedgerQuery insert = {0};
	LedgerScope scope;
	char *database;
	char *query;
	char *expected;
	int64 verification_id;

	PreventCommandDuringRecovery("pgmaint.add_verification()");
	PreventCommandIfReadOnly("pgmaint.add_verification()");
	require_arguments(fcinfo);
	database = NameStr(*PG_GETARG_NAME(ARG_DATABASE));
	if (database[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("database of a verification must not be empty")));
	query = check_verification_query(
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY)), NULL);
	expected = text_to_cstring(PG_GETARG_TEXT_PP(ARG_EXPECTED));
	check_expected(expected);
	check_time_limit(PG_GETARG_INTERVAL_P(ARG_TIME_LIMIT));
	bind_text(&insert, database);
	bind_text(&insert, query);
	bind_text(&insert, expected);
	bind_datum(&insert, INTERVALOID, PG_GETARG_DATUM(ARG_TIME_LIMIT));
	bind_text(&insert, GetUserNameFromId(role, false));

	ledger_enter(&scope);
	refuse_equal(database, query, expected);
	notice_unknown_database(database);
	(void) ledger_query(
		&insert,
		"INSERT INTO pgmaint.verifications (database, query, expected, time_limit, added_by) "
		"VALUES ($1::pg_catalog.name, $2, $3, $4, $5::pg_catalog.name) RETURNING verification_id");
	verification_id = ledger_bigint(0, 1);
	ledger_leave(&scope);
	PG_RETURN_INT64(verification_id);
}

/*
 * pgmaint.drop_verification(verification_id bigint) returns boolean
 *
 * Only members of the role that added the verification may drop it, since that
 * role relies on it.
 */
Datum
pgmaint_drop_verification(PG_FUNCTION_ARGS)
{
	Oid role = GetUserId();
	LedgerQuery query = {0};
	LedgerScope scope;
	bool found;

	PreventCommandDuringRecovery("pgmaint.drop_verification()");
	PreventCommandIfReadOnly("pgmaint.drop_verification()");
	bind_bigint(&query, PG_GETARG_INT64(0));
	ledger_enter(&scope);
	found =
		ledger_query(&query, "SELECT v.added_by FROM pgmaint.verifications v "
							 "WHERE v.verification_id = $1 FOR UPDATE") > 0;
	if (found)
	{
		char *adder = ledger_text(0, 1);

		if (!superuser_arg(role) &&
			!has_privs_of_role(role, get_role_oid(adder, true)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to drop verification "
							"%lld",
							(long long) PG_GETARG_INT64(0)),
					 errdetail("Verification %lld was added by role \"%s\".",
							   (long long) PG_GETARG_INT64(0), adder)));
		(void) ledger_query(
			&query,
			"DELETE FROM pgmaint.verifications WHERE verification_id = $1");
	}
	ledger_leave(&scope);
	PG_RETURN_BOOL(found);
}
