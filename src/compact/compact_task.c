/*-------------------------------------------------------------------------
 *
 * compact_task.c
 *	  One task of the action "compact": a table.
 *
 * A round moves rows until the front has no room, waits without a lock until
 * no transaction needs their old versions, runs VACUUM, and cuts off the end.
 * Each batch of moves is committed, so the task may end at any time: what was
 * moved stays moved, and the next VACUUM goes on from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "action/blockers.h"
#include "base/compat.h"
#include "base/wording.h"
#include "compact/compact_task.h"
#include "compact/cut_off.h"
#include "compact/free_space.h"
#include "compact/passes.h"
#include "compact/snapshots.h"
#include "exec/toplevel.h"

/* rounds that did not get as far as they meant to, before the task ends */
#define MAX_ROUNDS 4

/*
 * The share of pages that are left to new rows of other sessions after a round
 * whose end could not be cut off because of these; after another one, twice as
 * many.
 */
#define ROOM_SHARE 16

/* pages that do not matter */
#define SMALL_REST 8

/* transactions of users are expected to end within this time */
#define FUTILE_MS 5000

/* what came of the task, for record */
static struct
{
	int64 pages_before;
	int64 pages_after;
	int64 index_bytes_before;
	int64 index_bytes_after;
	int64 rows_moved;
	int64 rows_left;
	int64 wal_bytes;
	int rounds;
} outcome;

/* has vacuum_cost_delay been set for VACUUM? */
static bool is_slowed;

/*
 * Pages of the table and bytes of its indexes, and its file.
 */
static BlockNumber
look_at_table(Oid relation, Oid *filenode, int64 *index_bytes)
{
	MemoryContext context = CurrentMemoryContext;
	BlockNumber pages;
	Relation rel;

	StartTransactionCommand();
	rel = try_relation_open(relation, AccessShareLock);
	if (rel == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the table was dropped during the task")));
	pages = RelationGetNumberOfBlocks(rel);
	*filenode = rel->rd_rel->relfilenode;
	*index_bytes = DatumGetInt64(
		DirectFunctionCall1(pg_indexes_size, ObjectIdGetDatum(relation)));
	relation_close(rel, NoLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return pages;
}

/*
 * Rows that are moved leave dead versions behind, which VACUUM cannot remove
 * while an old snapshot is in use: the table would only grow.
 */
static void
refuse_if_futile(Work *work)
{
	TaskContext *context = work->context;
	TransactionId now = mark_now();
	int64 seconds;

	if (wait_for_snapshots(context->task->relation, now, FUTILE_MS))
		return;
	context->gave_up = psprintf("moving rows would be futile because of %s",
								name_holder(context, now, &seconds));
	context->tried_enough = holder_is_old(seconds);
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg_internal("%s", context->gave_up)));
}

/*
 * Commands name the table: another one may have its name by now.
 */
static void
execute_on_table(Work *work, const char *command)
{
	const ClaimedTask *task = work->context->task;
	MemoryContext context = CurrentMemoryContext;
	bool is_named;
	char *name;

	StartTransactionCommand();
	name = get_rel_name(task->relation);
	is_named =
		name != NULL &&
		strcmp(
			quote_qualified_identifier(
				get_namespace_name(get_rel_namespace(task->relation)), name),
			task->target) == 0;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (!is_named)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table %s was renamed during the task",
							   task->target)));
	execute_at_top_level(psprintf("%s %s%s", command,
								  SERVER_HAS_VACUUM_ONLY ? "ONLY " : "",
								  task->target));
}

/*
 * The exclusive lock for cutting off the end is replayed on standbys, where no
 * query makes it give way.
 */
static bool
may_cut_off(const Work *work)
{
	return work->limits->any_time || work->context->window != NULL ||
		   !standby_is_connected(work->context->extension);
}

/*
 * VACUUM does not cut off the end of the table: see cut_off.c.
 */
static void
vacuum_table(Work *work)
{
	execute_on_table(
		work,
		"VACUUM (INDEX_CLEANUP true, TRUNCATE false, PROCESS_TOAST false)");
}

/*
 * Called outside of any transaction, which would take the setting back.
 */
static void
resume_speed(void)
{
	if (is_slowed)
		SetConfigOption("vacuum_cost_delay", "0", PGC_USERSET, PGC_S_SESSION);
	is_slowed = false;
}

/*
 * On a busy server VACUUM goes as slowly as autovacuum, unless the settings of
 * the step say otherwise.
 */
static void
vacuum_table_slowly(Work *work)
{
	if (VacuumCostDelay == 0)
	{
		SetConfigOption("vacuum_cost_delay", "2ms", PGC_USERSET,
						PGC_S_SESSION);
		is_slowed = true;
	}
	vacuum_table(work);
	resume_speed();
}

/*
 * Cut off what has no rows left.  Returns whether the table is as small as the
 * moves should have made it.
 */
static bool
cut_off(Work *work)
{
	const Compaction *compaction = &work->compaction;
	BlockNumber to = Max(compaction->tail, compaction->floor);
	BlockNumber pages;

	if (!may_cut_off(work))
	{
		work->stopped =
			"a standby is connected, and no maintenance window is open: the end of the table was not cut off";
		return false;
	}
	pgstat_report_activity(STATE_RUNNING,
						   "compact: cutting off the end of the table");
	/* VACUUM has made the free space map show it */
	(void) hide_free_space(compaction->relation, to, InvalidBlockNumber);
	work->cut = cut_off_end(compaction, to, work->context->max_wait, &pages);
	return pages <= to + to / ROOM_SHARE + SMALL_REST;
}

static void
note_holder(Work *work)
{
	TaskContext *context = work->context;
	int64 seconds;

	note_finding(
		&context->findings, "compact", "warning",
		pstrdup(context->task->target),
		psprintf(
			"rows of %s were moved, but VACUUM cannot cut off the end of the table yet because of %s; a later VACUUM of the table will",
			context->task->target,
			name_holder(context, work->compaction.last, &seconds)));
}

/*
 * Other sessions need more room than the round has left them: give them pages
 * behind those that the rows would fit on.
 */
static void
leave_room(Work *work, BlockNumber goal, int tries)
{
	Compaction *compaction = &work->compaction;

	compaction->floor = goal + ((goal / ROOM_SHARE) << tries);
	show_free_space_between(compaction->relation, goal, compaction->floor);
}

/*
 * Rounds of moves and VACUUM, until the table is small.  A single page that
 * another process has pinned, or a row that was added meanwhile, keeps the
 * pages before it from being cut off.
 */
static void
compact_in_rounds(Work *work)
{
	Compaction *compaction = &work->compaction;
	BlockNumber goal = 0;
	int tries = 0;

	while (tries < MAX_ROUNDS && work->stopped == NULL)
	{
		int64 moved = compaction->rows_moved;
		bool held = false;

		move_rows_of_round(work);
		outcome.rows_moved = compaction->rows_moved;
		outcome.rounds++;
		if (tries == 0)
			goal = compaction->tail;
		if (compaction->rows_moved > moved || tries > 0)
		{
			held = !wait_for_snapshots(compaction->relation, compaction->last,
									   work->context->max_wait);
			if (server_is_busy(&work->pace))
				vacuum_table_slowly(work);
			else
				vacuum_table(work);
		}
		if (cut_off(work) && !work->timed_out)
			return;
		if (held)
		{
			note_holder(work);
			return;
		}
		if (work->timed_out)
			continue;
		leave_room(work, goal, tries++);
	}
	if (work->stopped == NULL && compaction->unmovable == NIL)
		work->stopped =
			work->cut == CUT_LOCKED
				? "other sessions had locks on the table all the time: its end was not cut off"
				: "after each round there were rows at its end, which other sessions added or VACUUM could not remove";
}

/*
 * Outside of any transaction, as the role of the run.
 */
void
compact_table(TaskContext *context, const CompactLimits *limits)
{
	Work work = {0};
	Compaction *compaction = &work.compaction;
	uint64 wal = pgWalUsage.wal_bytes;

	memset(&outcome, 0, sizeof(outcome));
	work.context = context;
	work.limits = limits;
	initStringInfo(&work.activity);
	work.pace.max_wal_rate = limits->max_wal_rate;
	work.pace.max_lag = limits->max_lag;
	work.pace.max_wait = context->max_wait;
	compaction->relation = context->task->relation;
	compaction->published = limits->published;
	compaction->floor = (BlockNumber) limits->kept_pages;
	outcome.pages_before =
		look_at_table(compaction->relation, &compaction->filenode,
					  &outcome.index_bytes_before);

	refuse_if_futile(&work);
	note_hidden_space(context->extension, compaction);
	/* rows can be moved to where dead rows are only after VACUUM */
	if (limits->has_dead_rows)
		vacuum_table_slowly(&work);
	work.stopped = NULL;
	work.first_end = look_at_table(compaction->relation, &compaction->filenode,
								   &outcome.index_bytes_before);
	compaction->tail = work.first_end;
	compaction->hidden = work.first_end;
	begin_pace(&work.pace);
	compact_in_rounds(&work);
	(void) show_free_space(context->extension, compaction->relation);
	/* the planner should know that the rows are in another order now */
	if (compaction->rows_moved > 0)
		execute_on_table(&work, "ANALYZE");

	outcome.rows_left = list_length(compaction->unmovable);
	if (compaction->unmovable != NIL)
		note_finding(&context->findings, "compact", "warning",
					 pstrdup(context->task->target),
					 psprintf("%s of %s could not be moved: %s",
							  counted(outcome.rows_left, "row", "rows"),
							  context->task->target, compaction->failure));
	if (work.stopped != NULL)
		note_finding(&context->findings, "compact", "warning",
					 pstrdup(context->task->target),
					 psprintf("the compaction of %s stopped: %s",
							  context->task->target, work.stopped));
	outcome.pages_after =
		look_at_table(compaction->relation, &compaction->filenode,
					  &outcome.index_bytes_after);
	outcome.wal_bytes = (int64) (pgWalUsage.wal_bytes - wal);
}

/*
 * By how many bytes the indexes grew during the last task.
 */
int64
index_growth(int64 *before)
{
	*before = outcome.index_bytes_before;
	return outcome.index_bytes_after - outcome.index_bytes_before;
}

void
record_compaction(TaskContext *context)
{
	context->result = psprintf(
		"{\"pages_before\": %lld, \"pages_after\": %lld, \"rows_moved\": %lld, "
		"\"rows_left\": %lld, \"rounds\": %d, \"wal_bytes\": %lld, "
		"\"index_bytes_before\": %lld, \"index_bytes_after\": %lld, "
		"\"returned_bytes\": %lld, \"analyzed\": %s}",
		(long long) outcome.pages_before, (long long) outcome.pages_after,
		(long long) outcome.rows_moved, (long long) outcome.rows_left,
		outcome.rounds, (long long) outcome.wal_bytes,
		(long long) outcome.index_bytes_before,
		(long long) outcome.index_bytes_after,
		(long long) context->returned_bytes,
		outcome.rows_moved > 0 ? "true" : "false");
}

/*
 * What was moved stays moved; new rows may be put on all pages again.
 */
void
clean_up_compaction(TaskContext *context, const char *sqlstate)
{
	resume_speed();
	(void) show_free_space(context->extension, context->task->relation);
}
