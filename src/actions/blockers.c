/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Who stands in the way of a task, for the person who can tell them.
 *
 * The caller is inside a ledger scope: the owner sees every session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"

#include "actions/blockers.h"

/*
 * What a session is doing, and since when, is for those to know who may see it
 * in pg_stat_activity too.  A worker's session user is the role of the run.
 */
#define MAY_SEE_SESSIONS \
	"pg_catalog.pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')"

/*
 * Who holds a lock, on one of the task's tables, that maintenance has to wait
 * for; NULL when nobody does any more.
 */
char *
name_lock_holders(int64 task_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, task_id);
	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(DISTINCT pg_catalog.concat("
		"CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE 'process ' || l.pid END, "
		"' of role ' || pg_catalog.quote_ident(a.usename), "
		"' (' || nullif(a.application_name, '') || ')', "
		"CASE WHEN a.usename IS NULL THEN ', ' || a.backend_type || ',' "
		"WHEN " MAY_SEE_SESSIONS " THEN ', ' || a.state || ',' END, "
		"' holds ', l.mode, ' on ', l.relation::pg_catalog.regclass, "
		"CASE WHEN " MAY_SEE_SESSIONS " THEN ' since ' "
		"|| pg_catalog.date_trunc('second', a.xact_start) END), '; ') "
		"FROM pg_catalog.pg_locks l "
		"JOIN pgmaint.tasks t ON t.task_id = $1 AND l.relation = ANY (t.relations) "
		"LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
		"WHERE l.locktype = 'relation' AND l.granted "
		"AND l.database IN (0, (SELECT d.oid FROM pg_catalog.pg_database d "
		"WHERE d.datname = pg_catalog.current_database())) "
		"AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() "
		"AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', "
		"'ExclusiveLock', 'AccessExclusiveLock')");
	return ledger_text(0, 1);
}

/*
 * The oldest holder of a snapshot that keeps dead rows of the relation, other
 * than pgmaint itself, and for how long; NULL when there is none that is as
 * old as the horizon that was met with.  The time is that of a slot, whose
 * start nobody knows, when it is negative.
 */
char *
name_xmin_holder(Oid relation, int64 horizon_age, int64 *seconds_held)
{
	LedgerQuery query = {0};

	bind_boolean(&query, IsCatalogRelationOid(relation));
	bind_bigint(&query, horizon_age);
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
			"AND ($1 OR NOT h.catalogs_only) AND h.xmin_age >= $2 "
			"LIMIT 1") == 0)
		return NULL;
	*seconds_held = ledger_bigint(0, 2);
	return ledger_text(0, 1);
}
