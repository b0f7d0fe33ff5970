/*-------------------------------------------------------------------------
 *
 * acknowledge.c
 *	  acknowledge(): stops further notifications for an alert.
 *
 * An alert has the number of its first finding, so a number is either an alert
 * or one of its findings.  Alerts from before version 0.3 have other numbers,
 * while messages of that time name findings: such a number may be one alert,
 * and a finding of another.  While the alert of that number is unresolved, the
 * call is refused, even if the other alert is resolved: the number may come
 * from a message about the other alert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"

#include "ledger/ledger.h"

PG_FUNCTION_INFO_V1(pgmaint_acknowledge);

typedef struct Alert
{
	int64 alert_id; /* 0: there is none */
	bool unresolved;
	char *severity;
	int64 first_finding;
	int64 last_finding;
	int64 number; /* of no other alert */
	char *name;
} Alert;

/* the possible meanings of a number */
typedef struct Meanings
{
	int64 number;
	char *caller;  /* who acknowledges it */
	char *noticed; /* severity of the finding of this number; NULL: there is
					* none */
	bool pending;  /* the finding belongs to no alert yet */
	Alert noted;   /* the alert that the finding belongs to */
	Alert named;   /* the alert of this number */
} Meanings;

static void
read_alert(Alert *alert, uint64 row)
{
	alert->name = named_text(row, "name");
	if (named_text(row, "alert_id") == NULL)
		return;
	alert->alert_id = named_bigint(row, "alert_id");
	alert->unresolved = named_boolean(row, "unresolved");
	alert->severity = named_text(row, "severity");
	alert->first_finding = named_bigint(row, "first_finding");
	alert->last_finding = named_bigint(row, "last_finding");
	alert->number = named_bigint(row, "number");
}

/*
 * Read the alert that the finding of this number belongs to, and the alert of
 * this number.  Each has a number that no other alert has: the update to
 * version 0.3 gives one to those that had none.
 */
static void
look_up_number(Meanings *meanings, int64 number)
{
	LedgerQuery query = {0};

	meanings->number = number;
	bind_bigint(&query, number);
	(void) ledger_query(
		&query,
		"SELECT f.severity AS noticed, f.alert_id IS NULL AS pending, "
		"a.alert_id, a.resolved_at IS NULL AS unresolved, a.severity, a.first_finding, a.last_finding, "
		"CASE WHEN a.alert_id = a.first_finding THEN a.alert_id ELSE a.last_finding END AS number, "
		"pgmaint.one_line(pg_catalog.concat_ws(' ', a.check_id, pg_catalog.left(a.object, 200))) AS name "
		"FROM (VALUES ($1)) n (number) "
		"LEFT JOIN pgmaint.findings f ON f.finding_id = n.number "
		"CROSS JOIN (VALUES (1), (2)) m (meaning) "
		"LEFT JOIN pgmaint_internal.alert_records a "
		"ON a.alert_id = CASE m.meaning WHEN 1 THEN f.alert_id ELSE n.number END "
		"ORDER BY m.meaning");
	meanings->noticed = named_text(0, "noticed");
	meanings->pending = named_boolean(0, "pending");
	read_alert(&meanings->noted, 0);
	read_alert(&meanings->named, 1);
}

/*
 * The message names both meanings, and an unambiguous number for each.
 */
static void
refuse_ambiguous(const Meanings *meanings)
{
	const Alert *named = &meanings->named;
	const Alert *noted = &meanings->noted;
	long long number = meanings->number;
	char *other;
	char *hint;

	if (meanings->noticed == NULL)
		other = psprintf("finding %lld, which no longer exists, may belong "
						 "to another alert",
						 number);
	else if (noted->alert_id == 0)
		other = psprintf("finding %lld belongs to no %s", number,
						 meanings->pending ? "alert yet" : "existing alert");
	else
		other = psprintf("finding %lld belongs to alert %lld, about %s%s",
						 number, (long long) noted->alert_id, noted->name,
						 noted->unresolved ? "" : ", which is resolved");
	hint = psprintf("To acknowledge alert %lld: SELECT "
					"pgmaint.acknowledge(%lld).",
					number, (long long) named->number);
	if (noted->alert_id != 0 && noted->unresolved)
		hint = psprintf("%s To acknowledge alert %lld: SELECT "
						"pgmaint.acknowledge(%lld).",
						hint, (long long) noted->alert_id,
						(long long) noted->number);
	ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_PARAMETER),
					errmsg("alert number %lld is ambiguous", number),
					errdetail("Alert %lld is about %s; %s.", number,
							  named->name, other),
					errhint("%s", hint)));
}

/*
 * Does the number mean the alert, and not the finding?
 */
static bool
alert_is_meant(const Meanings *meanings)
{
	const Alert *named = &meanings->named;

	if (!named->unresolved || named->alert_id == meanings->noted.alert_id)
		return false;
	/* no message names a finding of severity info */
	if (meanings->noticed != NULL && strcmp(meanings->noticed, "info") == 0 &&
		meanings->noted.alert_id == 0)
		return true;
	if (meanings->noticed == NULL && named->first_finding == meanings->number)
		return true;
	refuse_ambiguous(meanings);
	return false;
}

static void
add_acknowledgement(const char *caller, int64 finding_id, int64 alert_id,
					const char *severity)
{
	LedgerQuery query = {0};

	bind_bigint(&query, finding_id);
	bind_bigint(&query, alert_id);
	bind_text(&query, severity);
	bind_text(&query, caller);
	(void) ledger_query(&query,
						"INSERT INTO pgmaint_internal.acknowledgements "
						"(finding_id, alert_id, severity, acknowledged_by) "
						"VALUES ($1, nullif($2, 0), $3, $4)");
}

/*
 * Acknowledge the alert of the finding of this number, also before the alert
 * exists.  False if the alert is resolved, or if there will be none.
 */
static bool
acknowledge_by_finding(const Meanings *meanings)
{
	const Alert *noted = &meanings->noted;
	const Alert *named = &meanings->named;

	if (noted->alert_id == 0 && !meanings->pending)
		return false;
	if (noted->alert_id != 0 && !noted->unresolved)
		return false;
	add_acknowledgement(meanings->caller, meanings->number, noted->alert_id,
						noted->alert_id != 0 ? noted->severity
											 : meanings->noticed);
	if (noted->alert_id != 0 && named->alert_id != 0 &&
		named->alert_id != noted->alert_id)
		ereport(
			NOTICE,
			(errmsg("finding %lld belongs to alert %lld, about %s, which is "
					"now acknowledged; alert %lld is resolved",
					(long long) meanings->number, (long long) noted->alert_id,
					noted->name, (long long) named->alert_id)));
	return true;
}

/*
 * pgmaint.acknowledge(alert_id bigint) returns boolean
 *
 * The number is that of an alert, or of one of its findings.  False if the
 * alert is resolved.
 */
Datum
pgmaint_acknowledge(PG_FUNCTION_ARGS)
{
	long long number = PG_GETARG_INT64(0);
	LedgerScope scope;
	Meanings meanings = {0};
	bool unresolved = false;

	PreventCommandDuringRecovery("pgmaint.acknowledge()");
	PreventCommandIfReadOnly("pgmaint.acknowledge()");
	meanings.caller = GetUserNameFromId(GetUserId(), false);
	ledger_enter(&scope);
	look_up_number(&meanings, number);
	if (alert_is_meant(&meanings))
	{
		add_acknowledgement(meanings.caller, meanings.named.last_finding,
							meanings.named.alert_id, meanings.named.severity);
		unresolved = true;
	}
	else if (meanings.noticed != NULL &&
			 (strcmp(meanings.noticed, "info") != 0 ||
			  meanings.noted.alert_id != 0))
		unresolved = acknowledge_by_finding(&meanings);
	else if (meanings.named.alert_id == 0)
		ereport(ERROR,
				(meanings.noticed == NULL
					 ? errcode(ERRCODE_UNDEFINED_OBJECT)
					 : errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 meanings.noticed == NULL
					 ? errmsg("alert %lld does not exist", number)
					 : errmsg("finding %lld has severity info and belongs to "
							  "no alert",
							  number),
				 errhint("To list the alerts: SELECT alert_id, message FROM "
						 "pgmaint.alerts.")));
	ledger_leave(&scope);
	PG_RETURN_BOOL(unresolved);
}
