/*-------------------------------------------------------------------------
 *
 * succession.c
 *	  take_over and stay_copy: a person decides which database this is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/locks.h"
#include "base/settings.h"
#include "ledger/identity.h"

PG_FUNCTION_INFO_V1(pgmaint_take_over);
PG_FUNCTION_INFO_V1(pgmaint_stay_copy);
PG_FUNCTION_INFO_V1(pgmaint_get_takeover_delay);

/*
 * pgmaint_internal.takeover_delay() returns interval
 */
Datum
pgmaint_get_takeover_delay(PG_FUNCTION_ARGS)
{
	Interval *delay = palloc0(sizeof(Interval));

	delay->time = (TimeOffset) pgmaint_takeover_delay * USECS_PER_SEC;
	PG_RETURN_INTERVAL_P(delay);
}

static void
check_identity(const char *identity)
{
	if (strlen(identity) != 32 || strspn(identity, "0123456789abcdef") != 32)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid identity: \"%s\"", identity),
			 errhint(
				 "Pass the 32 hexadecimal digits of an identity, as in pgmaint.identities and column identity of pgmaint.list_backups().")));
}

#define FORGOTTEN_IDENTITIES \
	"(SELECT f.identity FROM pgmaint.identities f WHERE f.state = 'forgotten')"

/*
 * former identities of this database, and those in rows of a restored dump; an
 * adopted row names a database that may be alive, which is taken over by name
 * only
 */
#define FORMER_IDENTITIES                                                      \
	"SELECT x.identity FROM (SELECT a.identity FROM pgmaint.archives a "       \
	"WHERE a.adopted_at IS NULL UNION "                                        \
	"SELECT n.identity FROM pgmaint.contacts n UNION "                         \
	"SELECT i.identity FROM pgmaint.identities i WHERE i.state = 'former') x " \
	"WHERE x.identity ~ '^[0-9a-f]{32}$' AND x.identity NOT IN " FORGOTTEN_IDENTITIES

/*
 * Give the identities that a query finds, all of other databases, the signs of
 * this database; returns how many.
 */
static uint64
take_over_identities(LedgerQuery *query, const char *identities)
{
	return ledger_query_once(
		query,
		psprintf(
			"INSERT INTO pgmaint.identities AS i (identity, state, system_identifier, database, "
			"timeline, directory_inode, machine_id, host, taken_over_at) "
			"SELECT n.identity, 'taken over', c.system_identifier, c.database, c.timeline, "
			"c.directory_inode, c.machine_id, c.host, pg_catalog.clock_timestamp() "
			"FROM (%s) n (identity) CROSS JOIN pgmaint_internal.own_identities c "
			"WHERE c.state = 'current' "
			"AND n.identity NOT IN (SELECT o.identity FROM pgmaint_internal.own_identities o) "
			"ON CONFLICT (identity) DO UPDATE SET state = excluded.state, "
			"system_identifier = excluded.system_identifier, database = excluded.database, "
			"timeline = excluded.timeline, directory_inode = excluded.directory_inode, "
			"machine_id = excluded.machine_id, host = excluded.host, "
			"taken_over_at = excluded.taken_over_at RETURNING 1",
			identities));
}

/*
 * End the doubt.  Records that others wrote under these identities are
 * accepted once, when each storage is next used: the records known now are not
 * enough.
 */
static void
end_doubt(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"UPDATE pgmaint.identities SET doubt = NULL, doubt_since = NULL, "
		"until_told = false, former_seen_at = NULL WHERE state = 'current' "
		"AND identity = pgmaint_internal.current_identity()");
}

/*
 * pgmaint.take_over(identity text) returns integer
 */
Datum
pgmaint_take_over(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	uint64 count;

	PreventCommandDuringRecovery("pgmaint.take_over()");
	PreventCommandIfReadOnly("pgmaint.take_over()");
	ledger_enter(&scope);
	(void) ensure_identity();
	lock_in_transaction(LOCK_IDENTITY, true);
	if (PG_ARGISNULL(0))
	{
		count = take_over_identities(&query, FORMER_IDENTITIES);
		end_doubt();
	}
	else
	{
		char *identity = text_to_cstring(PG_GETARG_TEXT_PP(0));

		check_identity(identity);
		bind_text(&query, identity);
		count = take_over_identities(&query, "SELECT $1");
	}
	ledger_leave(&scope);
	if (count == 0)
		ereport(
			NOTICE,
			(errmsg(
				"nothing to take over: the identity of this database is not in doubt, and the ledger has no rows of another database")));
	PG_RETURN_INT32((int32) count);
}

/*
 * Does the ledger have contacts or archives that a dump of another database
 * brought?  Rows that an earlier stay_copy() has settled, or that were
 * adopted, do not count.
 */
static bool
has_rows_of_another(void)
{
	LedgerQuery query = {0};

	return ledger_query(
			   &query,
			   "SELECT FROM (SELECT c.identity FROM pgmaint.contacts c UNION ALL "
			   "SELECT a.identity FROM pgmaint.archives a WHERE a.adopted_at IS NULL) r "
			   "WHERE r.identity NOT IN (SELECT o.identity FROM pgmaint_internal.own_identities o) "
			   "AND r.identity NOT IN " FORGOTTEN_IDENTITIES " LIMIT 1") > 0;
}

/*
 * Delete all rows by which objects of the original would be searched for,
 * waited for or notified of.  The locations of archived rows stay: reading
 * them is harmless.
 */
static void
forget_original(const char *identity)
{
	static const char *const commands[] = {
		"DELETE FROM pgmaint.notifications WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint.contacts WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint_internal.uploads WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint_internal.scratch_databases WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint_internal.proof_servers WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint_internal.backup_records WHERE identity IS DISTINCT FROM $1",
		"DELETE FROM pgmaint_internal.owner_records WHERE identity <> $1",
		"UPDATE pgmaint.identities SET state = 'forgotten' WHERE identity <> $1",
	};

	LedgerQuery counting = {0};

	bind_text(&counting, identity);
	(void) ledger_query(
		&counting,
		"SELECT (SELECT pg_catalog.count(*) FROM pgmaint_internal.backup_records b "
		"WHERE b.identity IS DISTINCT FROM $1 AND b.state = 'succeeded'), "
		"(SELECT pg_catalog.count(*) FROM pgmaint.contacts c "
		"WHERE c.identity IS DISTINCT FROM $1)");
	ereport(
		NOTICE,
		(errmsg(
			"backups of the original that were removed from the ledger, not from storages: %lld; dropped contacts: %lld",
			(long long) ledger_bigint(0, 1),
			(long long) ledger_bigint(0, 2))));
	/* so that take_over() does not find them in rows of a dump */
	(void) ledger_query(
		&counting,
		"INSERT INTO pgmaint.identities (identity, state) "
		"SELECT DISTINCT a.identity, 'forgotten' FROM pgmaint.archives a "
		"WHERE a.identity ~ '^[0-9a-f]{32}$' AND a.adopted_at IS NULL "
		"AND a.identity <> $1 ON CONFLICT (identity) DO NOTHING");
	for (int i = 0; i < (int) lengthof(commands); i++)
	{
		LedgerQuery query = {0};

		bind_text(&query, identity);
		(void) ledger_query_once(&query, commands[i]);
	}
}

/*
 * pgmaint.stay_copy() returns text
 */
Datum
pgmaint_stay_copy(PG_FUNCTION_ARGS)
{
	LedgerScope scope;
	char *identity;

	PreventCommandDuringRecovery("pgmaint.stay_copy()");
	PreventCommandIfReadOnly("pgmaint.stay_copy()");
	ledger_enter(&scope);
	identity = ensure_identity();
	/* a copy without any doubt also gets a new identity */
	if (current_doubt() == NULL && !has_rows_of_another())
	{
		begin_to_doubt("stay_copy() was called");
		identity = known_identity();
	}
	lock_in_transaction(LOCK_IDENTITY, true);
	forget_original(identity);
	end_doubt();
	ledger_leave(&scope);
	PG_RETURN_TEXT_P(cstring_to_text(identity));
}
