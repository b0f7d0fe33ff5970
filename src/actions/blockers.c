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
		"SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%s holds %s on %s%s', "
		"CASE WHEN l.pid IS NULL THEN 'a prepared transaction' "
		"ELSE pg_catalog.format('process %s of role %I%s, %s,', l.pid, a.usename, "
		"CASE WHEN a.application_name <> '' THEN pg_catalog.format(' (%s)', a.application_name) ELSE '' END, "
		"coalesce(a.state, a.backend_type)) END, "
		"l.mode, l.relation::pg_catalog.regclass, "
		"CASE WHEN a.xact_start IS NOT NULL THEN pg_catalog.format(' since %s', "
		"pg_catalog.date_trunc('second', a.xact_start)) ELSE '' END), '; ') "
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
 * than pgmaint itself, and for how long; NULL when there is none.  The time is that of a
 * slot, whose start nobody knows, when it is negative.
 */
char *
name_xmin_holder(Oid relation, int64 *seconds_held)
{
	LedgerQuery query = {0};

	bind_boolean(&query, IsCatalogRelationOid(relation));
	if (ledger_query(
			&query,
			"SELECT h.holder || CASE WHEN h.since IS NULL THEN '' ELSE pg_catalog.format("
			"', since %s', pg_catalog.date_trunc('second', h.since)) END, "
			"coalesce(pg_catalog.extract('epoch', pg_catalog.clock_timestamp() - h.since), -1)::int8 "
			"FROM pgmaint.xmin_holders() h "
			"LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid "
			"WHERE (a.backend_type IS NULL OR a.backend_type NOT LIKE 'pgmaint %') "
			"AND ($1 OR NOT h.catalogs_only) "
			"LIMIT 1") == 0)
		return NULL;
	*seconds_held = ledger_bigint(0, 2);
	return ledger_text(0, 1);
}
