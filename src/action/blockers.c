/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Sessions that block a task, described for the person who reads the
 *	  ledger.
 *
 * The caller is inside a ledger scope: the owner of the extension sees every
 * session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"
#include "catalog/pg_type.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "action/blockers.h"

/*
 * Show the state of a session, and since when, only to roles that may see them
 * in pg_stat_activity.  A worker's session user is the role of the run.
 */
#define MAY_SEE_SESSIONS \
	"pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')"

/* a holder this old is not expected to end while a task is tried again */
#define OLD_HOLDER_SECONDS 60

#define THIS_DATABASE                              \
	"(SELECT d.oid FROM pg_catalog.pg_database d " \
	"WHERE d.datname = pg_catalog.current_database())"

/*
 * The modes of locks that conflict with this one, as text[].
 */
static Datum
conflicting_modes(LOCKMODE awaited)
{
	Datum names[AccessExclusiveLock];
	int count = 0;

	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
	{
		if (DoLockModesConflict(awaited, mode))
			names[count++] =
				CStringGetTextDatum(GetLockmodeName(DEFAULT_LOCKMETHOD, mode));
	}
	return PointerGetDatum(
		construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * The sessions that hold a lock on one of these tables that conflicts with the
 * awaited mode, and whose transactions have at least this age.
 */
static char *
name_holders(List *relations, LOCKMODE awaited, int milliseconds)
{
	LedgerQuery query = {0};

	bind_oids(&query, relations);
	bind_datum(&query, TEXTARRAYOID, conflicting_modes(awaited));
	bind_double(&query, milliseconds / 1000.0);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(DISTINCT pg_catalog.concat("
		"CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE 'process ' || l.pid END, "
		"' of role ' || pg_catalog.quote_ident(a.usename), "
		"' (' || nullif(a.application_name, '') || ')', "
		"CASE WHEN a.usename IS NULL THEN ', ' || a.backend_type || CASE v.progress ->> 'started_by' "
		"WHEN 'autovacuum_wraparound' THEN ' (to prevent wraparound)' ELSE '' END || ',' "
		"WHEN " MAY_SEE_SESSIONS
		" THEN ', ' || a.state || CASE v.progress ->> 'started_by' "
		"WHEN 'manual' THEN ' (VACUUM)' ELSE '' END || ',' END, "
		"' holds ', l.mode, ' on ', l.relation::pg_catalog.regclass, "
		"CASE WHEN " MAY_SEE_SESSIONS " THEN ' since ' "
		"|| pg_catalog.date_trunc('second', a.xact_start) END), '; ') "
		"FROM pg_catalog.pg_locks l "
		"LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
		/* 19 shows who started a VACUUM */
		"LEFT JOIN (SELECT p.pid, pg_catalog.to_jsonb(p) AS progress FROM pg_catalog.pg_stat_progress_vacuum p) v "
		"ON v.pid = l.pid "
		"WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1) "
		"AND l.database IN (0, " THIS_DATABASE ") "
		"AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() "
		"AND l.mode = ANY ($2) "
		"AND ($3 = 0 OR a.xact_start IS NULL "
		"OR a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3))");
	return ledger_text(0, 1);
}

static List *
tables_of_task(int64 task_id)
{
	LedgerQuery query = {0};
	List *tables = NIL;
	uint64 rows;

	bind_bigint(&query, task_id);
	/* slices of a table run in parallel, and claim no table */
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.unnest(CASE WHEN t.relations = '{}' THEN ARRAY[t.relation] "
		"ELSE t.relations END) FROM pgmaint.tasks t WHERE t.task_id = $1");
	for (uint64 row = 0; row < rows; row++)
		tables = lappend_oid(tables, ledger_oid(row, 1));
	return tables;
}

/*
 * The sessions that hold a lock on one of the task's tables that conflicts
 * with the lock that the task needs; NULL if there are none now.
 */
char *
name_lock_holders(int64 task_id, LOCKMODE awaited)
{
	return name_holders(tables_of_task(task_id), awaited, 0);
}

/*
 * The same for these tables.
 */
char *
name_lock_holders_of(List *relations, LOCKMODE awaited)
{
	return name_holders(relations, awaited, 0);
}

/*
 * The sessions that probably keep their locks beyond the lock timeout, judged
 * by how long they have held any lock on the task's tables.
 */
char *
name_old_lock_holders(int64 task_id, int milliseconds)
{
	return name_holders(tables_of_task(task_id), AccessExclusiveLock,
						milliseconds);
}

/*
 * The oldest holder of a snapshot that keeps dead rows of the relation, other
 * than pgmaint itself, and for how long; NULL if there is none as old as the
 * horizon that the task met.  The time is negative for a slot, whose start is
 * unknown.
 */
char *
name_xmin_holder(Oid relation, TransactionId horizon, int64 *seconds_held)
{
	LedgerQuery query = {0};

	bind_boolean(&query, IsCatalogRelationOid(relation));
	bind_datum(&query, XIDOID, TransactionIdGetDatum(horizon));
	if (ledger_query(
			&query,
			"SELECT CASE WHEN " MAY_SEE_SESSIONS
			" THEN pg_catalog.concat(h.holder, "
			"', since ' || pg_catalog.date_trunc('second', h.since)) "
			"ELSE pg_catalog.concat('a ', h.kind, ', process ' || h.pid) END, "
			"coalesce(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - h.since), -1)::int8 "
			"FROM pgmaint.xmin_holders() h "
			"LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid "
			"WHERE (a.backend_type IS NULL OR a.backend_type NOT LIKE 'pgmaint %') "
			"AND ($1 OR NOT h.catalogs_only) AND h.xmin_age >= pg_catalog.age($2) "
			"LIMIT 1") == 0)
		return NULL;
	*seconds_held = ledger_bigint(0, 2);
	return ledger_text(0, 1);
}

/*
 * The oldest transaction of at least this age for which REINDEX CONCURRENTLY
 * of an index of this table would have to wait: one with a lock on the table,
 * or with a snapshot.  NULL if there is none.
 *
 * REINDEX does not wait for snapshots of VACUUM and of other concurrent index
 * builds.
 */
char *
name_stalling_transaction(Oid table, int64 milliseconds)
{
	LedgerQuery query = {0};

	bind_oid(&query, table);
	bind_double(&query, (double) milliseconds / 1000.0);
	if (ledger_query(
			&query,
			"WITH holders AS MATERIALIZED (SELECT l.pid, l.virtualtransaction FROM pg_catalog.pg_locks l "
			"WHERE l.locktype = 'relation' AND l.granted AND l.relation = $1 "
			"AND l.database = " THIS_DATABASE ") "
			"SELECT h.holder FROM (SELECT a.xact_start AS since, pg_catalog.concat('process ' || a.pid, "
			"' of role ' || pg_catalog.quote_ident(a.usename), "
			"CASE WHEN " MAY_SEE_SESSIONS " THEN pg_catalog.concat("
			"' (' || nullif(a.application_name, '') || ')', ', ' || a.state, "
			"', in a transaction since ' || pg_catalog.date_trunc('second', a.xact_start)) END) AS holder "
			"FROM pg_catalog.pg_stat_activity a "
			"WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() "
			"AND a.backend_type NOT LIKE 'pgmaint %' "
			"AND (EXISTS (SELECT FROM holders l WHERE l.pid = a.pid) OR a.backend_xmin IS NOT NULL "
			"AND a.backend_type <> 'autovacuum worker' "
			"AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid) "
			"AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index c "
			"WHERE c.pid = a.pid AND c.command LIKE '%CONCURRENTLY')) "
			"UNION ALL SELECT p.prepared, pg_catalog.format('prepared transaction %I of role %s, since %s', "
			"p.gid, coalesce(pg_catalog.quote_ident(p.owner), 'unknown'), "
			"pg_catalog.date_trunc('second', p.prepared)) FROM pg_catalog.pg_prepared_xacts p "
			"JOIN pg_catalog.pg_locks x ON x.locktype = 'transactionid' AND x.pid IS NULL "
			"AND x.transactionid = p.transaction "
			"JOIN holders l ON l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction) h "
			"WHERE h.since <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2) "
			"ORDER BY h.since LIMIT 1") == 0)
		return NULL;
	return ledger_text(0, 1);
}

/*
 * Would another attempt soon be useless?
 */
bool
holder_is_old(int64 seconds_held)
{
	return seconds_held < 0 || seconds_held >= OLD_HOLDER_SECONDS;
}
