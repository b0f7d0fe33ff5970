/*-------------------------------------------------------------------------
 *
 * contacts.c
 *	  add_contact() and drop_contact(): the contacts that are notified of
 *	  alerts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "ledger/identity.h"
#include "notify/address.h"
#include "notify/relay.h"

PG_FUNCTION_INFO_V1(pgmaint_add_contact);
PG_FUNCTION_INFO_V1(pgmaint_drop_contact);
PG_FUNCTION_INFO_V1(pgmaint_host_name);

#define MAX_LEVEL 9

static void
check_given(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s of a contact must not be null", name)));
}

static void
check_name(const char *name)
{
	if (name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("the name of a contact must not be empty")));
}

static void
check_address(const char *address)
{
	char *complaint = address_complaint(address);

	if (complaint != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid address of a contact"),
			 errdetail("%s", complaint),
			 errhint(
				 "Use https://host/path, mailto:name@host or notify:channel."),
			 errhidestmt(true)));
}

static void
check_number(FunctionCallInfo fcinfo, int argument, const char *name,
			 int maximum)
{
	int number = PG_GETARG_INT32(argument);

	if (number < 1 || number > maximum)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid %s of a contact: %d", name, number),
						errhint("Use a number from 1 to %d.", maximum)));
}

/*
 * The severity, by default warning for level 1 and critical for higher levels.
 */
static char *
choose_severity(FunctionCallInfo fcinfo, int argument, int level)
{
	char *severity;

	if (PG_ARGISNULL(argument))
		return level == 1 ? "warning" : "critical";
	severity = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (strcmp(severity, "warning") != 0 && strcmp(severity, "critical") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid severity of a contact: \"%s\"", severity),
				 errhint("Use \"warning\" for all alerts, or \"critical\" "
						 "for critical ones only.")));
	return severity;
}

static void
check_not_negative(const Interval *interval, const char *name)
{
	Interval zero = {0};

	if (DatumGetBool(DirectFunctionCall2(interval_lt,
										 IntervalPGetDatum(interval),
										 IntervalPGetDatum(&zero))))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s of a contact must not be negative", name)));
}

/*
 * The delay, by default none for level 1, an hour for level 2, and four times
 * as long for each further level.
 */
static Interval *
choose_delay(FunctionCallInfo fcinfo, int argument, int level)
{
	Interval *delay;

	if (!PG_ARGISNULL(argument))
	{
		delay = PG_GETARG_INTERVAL_P(argument);
		check_not_negative(delay, "after");
		return delay;
	}
	delay = palloc0(sizeof(Interval));
	if (level > 1)
		delay->time = USECS_PER_HOUR << (2 * (level - 2));
	return delay;
}

static void
complain_about_relays(uint64 rows)
{
	StringInfoData names;

	initStringInfo(&names);
	for (uint64 row = 0; row < rows; row++)
		appendStringInfo(&names, "%s%s", row > 0 ? ", " : "",
						 ledger_text(row, 1));
	if (rows > 0)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_PARAMETER),
						errmsg("more than one relay for mail exists"),
						errhint("Set the argument server to one of: %s.",
								names.data)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("no relay for mail exists"),
			 errhint("Create a relay with CREATE SERVER mail FOREIGN DATA "
					 "WRAPPER " RELAY_WRAPPER
					 " OPTIONS (url 'smtp://host:587', sender "
					 "'pgmaint@example.com'), and set its user name and "
					 "password with CREATE USER MAPPING.")));
}

/*
 * The relay for mail where none is named: the only one that exists.  The
 * caller is inside a ledger scope.
 */
static char *
choose_mail_relay(void)
{
	LedgerQuery query = {0};
	uint64 rows = ledger_query(
		&query,
		"SELECT s.srvname::text FROM pg_catalog.pg_foreign_server s "
		"JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw "
		"WHERE w.fdwname = '" RELAY_WRAPPER "' AND EXISTS (SELECT FROM "
		"pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'url') "
		"ORDER BY 1");

	if (rows != 1)
		complain_about_relays(rows);
	return ledger_text(0, 1);
}

/*
 * Check that the caller may use the relay, and that it is of the kind that the
 * address needs.
 */
static void
check_relay(const char *address, const char *server)
{
	AddressKind kind = address_kind(address);
	Relay relay;
	char *problem = read_relay(server, GetUserId(), &relay);

	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s", problem)));
	if (kind == ADDRESS_CHANNEL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a channel does not use a relay"),
						errhint("Leave out the argument server.")));
	if ((kind == ADDRESS_MAIL) != (relay.url != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("server \"%s\" is not a relay for %s", server,
						kind == ADDRESS_MAIL ? "mail" : "webhooks"),
				 errhint("For mail, use a relay with the option \"url\"; for "
						 "webhooks, use one without it.")));
}

/*
 * pgmaint.add_contact(name text, address text, level integer, severity text,
 * after interval, repeats integer, windows boolean, server name,
 * notice interval) returns void
 */
Datum
pgmaint_add_contact(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *name;
	char *address;
	char *server = NULL;
	int level;

	PreventCommandDuringRecovery("pgmaint.add_contact()");
	PreventCommandIfReadOnly("pgmaint.add_contact()");
	check_given(fcinfo, 0, "name");
	check_given(fcinfo, 1, "address");
	check_given(fcinfo, 2, "level");
	check_given(fcinfo, 6, "windows");
	check_given(fcinfo, 8, "notice");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	address = text_to_cstring(PG_GETARG_TEXT_PP(1));
	check_name(name);
	check_address(address);
	check_number(fcinfo, 2, "level", MAX_LEVEL);
	level = PG_GETARG_INT32(2);
	if (!PG_ARGISNULL(5))
		check_number(fcinfo, 5, "repeats", PG_INT32_MAX);
	check_not_negative(PG_GETARG_INTERVAL_P(8), "notice");
	if (!PG_ARGISNULL(7))
		server = pstrdup(NameStr(*PG_GETARG_NAME(7)));
	else if (address_kind(address) == ADDRESS_MAIL)
	{
		ledger_enter(&scope);
		server = choose_mail_relay();
		ledger_leave(&scope);
	}
	if (server != NULL)
		check_relay(address, server);
	bind_text(&query, name);
	bind_integer(&query, level);
	bind_text(&query, address);
	bind_text(&query, server);
	bind_text(&query, choose_severity(fcinfo, 3, level));
	bind_datum(&query, INTERVALOID,
			   IntervalPGetDatum(choose_delay(fcinfo, 4, level)));
	if (PG_ARGISNULL(5))
		bind_null(&query, INT4OID);
	else
		bind_integer(&query, PG_GETARG_INT32(5));
	bind_boolean(&query, PG_GETARG_BOOL(6));
	bind_datum(&query, INTERVALOID, PG_GETARG_DATUM(8));
	bind_text(&query, GetUserNameFromId(GetUserId(), false));
	ledger_enter(&scope);
	(void) ensure_identity();
	if (ledger_query(
			&query,
			"INSERT INTO pgmaint.contacts (name, level, address, server, severity, "
			"after, repeats, windows, notice, added_by) "
			"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
			"ON CONFLICT (name) DO NOTHING RETURNING 1") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("contact \"%s\" already exists", name),
				 errhint("To change the contact, execute "
						 "pgmaint.drop_contact() and pgmaint.add_contact() "
						 "in one transaction, which keeps its messages.")));
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

static void
complain_about_missing(const char *name)
{
	LedgerQuery query = {0};
	char *names;

	(void) ledger_query(
		&query, "SELECT pg_catalog.string_agg(pg_catalog.format('\"%s\"', "
				"c.name), ', ' ORDER BY c.name) FROM pgmaint.contacts c");
	names = ledger_text(0, 1);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("contact \"%s\" does not exist", name),
			 names == NULL
				 ? errhint("Add a contact with pgmaint.add_contact().")
				 : errhint("Use one of the existing contacts: %s.", names)));
}

/*
 * pgmaint.drop_contact(name text) returns void
 */
Datum
pgmaint_drop_contact(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	LedgerScope scope;
	LedgerQuery query = {0};

	PreventCommandDuringRecovery("pgmaint.drop_contact()");
	PreventCommandIfReadOnly("pgmaint.drop_contact()");
	bind_text(&query, name);
	ledger_enter(&scope);
	if (ledger_query(
			&query,
			"DELETE FROM pgmaint.contacts WHERE name = $1 RETURNING 1") == 0)
		complain_about_missing(name);
	ledger_leave(&scope);
	PG_RETURN_VOID();
}

/*
 * pgmaint_internal.host_name() returns text
 */
Datum
pgmaint_host_name(PG_FUNCTION_ARGS)
{
	char *name = host_name();

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
