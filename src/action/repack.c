/*-------------------------------------------------------------------------
 *
 * repack.c
 *	  REPACK (CONCURRENTLY), and the backups that it must not meet.
 *
 * Its rows have the transaction that wrote the table anew as their inserter, so
 * a snapshot from before its end sees none of them, and pg_dump would dump
 * none.  A backup finds out about that (backup/rewrites.c); the lock here saves
 * it the attempt, and REPACK the wait for the locks of pg_dump.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "action/repack.h"
#include "base/compat.h"
#include "base/locks.h"
#include "exec/toplevel.h"
#include "ledger/ledger.h"

/*
 * It takes replication slots of a kind of their own.
 */
bool
server_can_repack(void)
{
	const char *slots;

	if (!SERVER_HAS_REPACK_CONCURRENTLY)
		return false;
	slots = GetConfigOption("max_repack_replication_slots", true, false);
	return slots != NULL && strcmp(slots, "0") != 0;
}

bool
is_repack(const ClaimedTask *task)
{
	return strncmp(task->command, "REPACK ", 7) == 0;
}

/*
 * The databases that backups are made of, or are about to be made of.
 */
char *
name_backups_in_progress(void)
{
	LedgerQuery query = {0};
	char *names;

	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(d.datname), ', ') "
		"FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database "
		"WHERE l.locktype = 'advisory' AND l.objsubid = 9");
	names = ledger_text(0, 1);
	return names == NULL
			   ? NULL
			   : psprintf("a backup is being made of database %s", names);
}

/*
 * The databases that REPACK is at work in.
 */
static char *
name_repacks_in_progress(void)
{
	LedgerQuery query = {0};
	char *names;

	(void) ledger_query(
		&query,
		"SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(a.datname), ', ') "
		"FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
		"WHERE l.locktype = 'advisory' AND l.objsubid = 9 AND l.database = 0 "
		"AND l.mode = 'RowExclusiveLock'");
	names = ledger_text(0, 1);
	return names == NULL ? pstrdup("another database") : names;
}

/*
 * A backup has begun since the task was considered.
 */
static void
give_way_to_backup(TaskContext *context)
{
	LedgerScope scope;
	char *backups;

	ledger_begin(&scope, context->extension);
	backups = name_backups_in_progress();
	ledger_commit(&scope);
	context->gave_up =
		backups == NULL ? pstrdup("a backup was being made") : backups;
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg_internal("%s", context->gave_up)));
}

/*
 * No backup of pgmaint's, of whatever database, begins before a REPACK is
 * committed.  A worker that is terminated loses the lock with its session.
 * Other commands keep what snapshots see.
 */
void
execute_rewrite(TaskContext *context)
{
	if (!is_repack(context->task))
	{
		execute_at_top_level(context->task->command);
		return;
	}
	if (!try_repack_lock())
		give_way_to_backup(context);
	PG_TRY();
	{
		execute_at_top_level(context->task->command);
	}
	PG_FINALLY();
	{
		release_repack_lock();
	}
	PG_END_TRY();
}

/*
 * Tell when it ended: older snapshots of others cannot be known here.
 */
void
note_repack(TaskContext *context)
{
	(void) note_finding(
		&context->findings, "repack", "info", pstrdup(context->task->target),
		psprintf("%s ended at %s: " REPACK_WARNING
				 "; repeat a dump that others began before that and ended "
				 "after it",
				 context->task->command,
				 timestamptz_to_str(GetCurrentTimestamp())));
}

/*
 * Before a backup takes its snapshot.  REPACK ends by itself and waits for no
 * backup, so there is no deadlock, and no limit but that of the person who may
 * cancel it: the transaction has no snapshot that would hold up anybody.
 */
void
keep_out_repack(const char *database)
{
	Oid oid = get_database_oid(database, false);
	LedgerScope scope;
	char *names;
	int level;

	if (lock_out_repack(oid, false))
		return;
	ledger_enter(&scope);
	names = name_repacks_in_progress();
	ledger_leave(&scope);
	pgstat_report_activity(
		STATE_RUNNING,
		psprintf("backup: waits for REPACK (CONCURRENTLY) in database %s",
				 names));
	InvalidateCatalogSnapshot();
	level = NewGUCNestLevel();
	(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) lock_out_repack(oid, true);
	AtEOXact_GUC(false, level);
}
