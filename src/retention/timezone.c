/*-------------------------------------------------------------------------
 *
 * timezone.c
 *	  The time zone of a retention policy, and the cut-off in it.
 *
 * "90 days ago" and the rows of a date column are at different times in
 * different time zones.  A policy stores the zone, so that no setting of a role
 * or a database moves its cut-off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/json.h"

#include "retention/slices.h"
#include "retention/timezone.h"

/*
 * The name of a zone as pg_timezone_names spells it; NULL if it has none.
 * What these three mean depends on files of the machine.
 */
static char *
listed_timezone(const char *name)
{
	LedgerQuery query = {0};

	bind_text(&query, name);
	if (ledger_query(
			&query,
			"SELECT z.name FROM pg_catalog.pg_timezone_names z "
			"WHERE pg_catalog.lower(z.name) = pg_catalog.lower($1) "
			"AND z.name NOT IN ('localtime', 'posixrules', 'Factory')") == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * A time zone that is only an offset, in the spelling of the server, as in
 * <+02>-02; NULL for any other.
 */
static char *
timezone_of_offset(const char *name)
{
	pg_tz *zone = pg_tzset(name);
	long int offset;

	if (zone == NULL || !pg_get_timezone_offset(zone, &offset))
		return NULL;
	zone = pg_tzset_offset(-offset);
	return zone == NULL ? NULL : pstrdup(pg_get_timezone_name(zone));
}

/*
 * The time zone that a new policy stores: the requested one, or the
 * session's.  An offset is accepted from the session, since drivers set such
 * zones; in the argument it is more often a misspelt name, so there it must be
 * written as policies store it.
 */
char *
choose_timezone(const char *wanted)
{
	const char *name =
		wanted != NULL ? wanted : pg_get_timezone_name(session_timezone);
	char *chosen = listed_timezone(name);

	if (chosen == NULL && pg_strcasecmp(name, "localtime") != 0 &&
		(wanted == NULL || wanted[0] == '<'))
		chosen = timezone_of_offset(name);
	if (chosen == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 wanted != NULL
					 ? errmsg("time zone \"%s\" not recognized", wanted)
					 : errmsg("the session's time zone \"%s\" cannot be "
							  "stored in a policy",
							  name),
				 errhint("Name the time zone, for example timezone => "
						 "'Europe/Berlin'; see pg_timezone_names.")));
	return chosen;
}

/*
 * The server's own time zone, whatever the session, its role or its database
 * have set: for policies that store none.
 */
static char *
server_timezone(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(&query, "SELECT " SERVER_TIMEZONE);
	return ledger_text(0, 1);
}

void
use_timezone(const RetentionPolicy *policy)
{
	const char *zone =
		policy->timezone == NULL ? server_timezone() : policy->timezone;

	(void) set_config_option("timezone", zone, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * The time before which rows are removed: the same for all tasks of a run,
 * computed in the policy's time zone and returned in the session's, as all
 * times of slices.
 *
 * Local times repeat an hour when clocks are put back, and leave one out when
 * they are put forward: the earlier of the two ways to subtract a keep of hours
 * never takes a row too soon.
 */
char *
cut_off(const RetentionPolicy *policy, int64 run_id)
{
	LedgerQuery query = {0};
	Oid type = time_column_type(policy->relation, policy->time_column);
	int level = NewGUCNestLevel();
	char buffer[MAXDATELEN + 1];
	bool isnull;
	Datum cutoff;

	use_timezone(policy);
	bind_bigint(&query, policy->policy_id);
	bind_bigint(&query, run_id);
	(void) ledger_query_once(
		&query,
		psprintf(
			"SELECT least((t.at - p.keep)::%1$s, (t.at%2$s - p.keep)::%1$s) "
			"FROM pgmaint.retention_policies p, LATERAL (SELECT coalesce("
			"(SELECT r.started_at FROM pgmaint.runs r WHERE r.run_id = $2), "
			"pg_catalog.now()) AS at) t WHERE p.policy_id = $1",
			time_type_name(type),
			type == TIMESTAMPTZOID ? "" : "::pg_catalog.timestamp"));
	cutoff = ledger_datum(0, 1, &isnull);
	AtEOXact_GUC(false, level);
	return pstrdup(JsonEncodeDateTime(buffer, cutoff, type, NULL));
}
