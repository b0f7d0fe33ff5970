/*-------------------------------------------------------------------------
 *
 * repack.c
 *	  REPACK (CONCURRENTLY), and its exclusion of backups.
 *
 * The rows that REPACK writes are inserted by its own transaction, so a snapshot
 * from before its end sees none of them, and pg_dump would dump none.  A backup
 * detects that (backup/rewrites.c); the lock in this file saves the failed
 * attempt, and saves REPACK the wait for the locks of pg_dump.
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
 * REPACK takes replication slots of a kind of its own.
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
 * The databases of which backups are running, or wait to begin.
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
			   : psprintf("a backup of database %s is running", names);
}

/*
 * The databases in which REPACK is running.
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
 * End the attempt: a backup has begun since the task was considered.
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
		backups == NULL ? pstrdup("a backup was running") : backups;
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg_internal("%s", context->gave_up)));
}

/*
 * Execute a command.  No backup of pgmaint in any database begins before a
 * REPACK has committed.  A worker that is terminated loses the lock with its
 * session.  Other commands preserve the rows that older snapshots see.
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
 * Record when REPACK ended: older snapshots of other sessions cannot be known
 * here.
 */
void
note_repack(TaskContext *context)
{
	(void) note_finding(
		&context->findings, "repack", "info", pstrdup(context->task->target),
		psprintf(
			"%s ended at %s: " REPACK_WARNING
			"; repeat each dump made without pgmaint that began before and ended after that time",
			context->task->command,
			timestamptz_to_str(GetCurrentTimestamp())));
}

/*
 * Call this before a backup takes its snapshot.  REPACK ends by itself and
 * does not wait for backups, so there is no deadlock, and no timeout is
 * needed: the transaction has no snapshot that could hold back VACUUM, and a
 * person can cancel it.
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
		psprintf("backup: waiting for REPACK (CONCURRENTLY) in database %s",
				 names));
	InvalidateCatalogSnapshot();
	level = NewGUCNestLevel();
	(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) lock_out_repack(oid, true);
	AtEOXact_GUC(false, level);
}
