/*-------------------------------------------------------------------------
 *
 * vacuum_full.c
 *	  The action "vacuum_full": rewrite heavily bloated tables.
 *
 * VACUUM FULL blocks all other sessions for as long as it takes, so it is
 * disruptive.  Where the free space lies at the end of the table, a plain
 * VACUUM that cuts it off does nearly as well, and comes first: it needs the
 * same lock for a moment only, and releases it when another session waits for
 * it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "action/blockers.h"
#include "action/copyspace.h"
#include "action/headroom.h"
#include "action/repack.h"
#include "action/selection.h"
#include "base/compat.h"
#include "base/wording.h"
#include "bloat/many.h"
#include "bloat/removable.h"
#include "vacuum/gains.h"
#include "vacuum/orphanfiles.h"
#include "vacuum/othertools.h"

/* the margin to measure to: the thresholds leave room for it */
#define MAX_MARGIN 0.02

static const ActionOption options[] = {
	SELECTION_OPTIONS,
	PLAIN_OPTION("force", OPTION_BOOLEAN, "false",
				 "rewrite every table, however little space that frees"),
	RANGE_OPTION(
		"bloat_threshold", OPTION_NUMBER, 0, 1, "0.5",
		"rewrite tables above this bloat ratio, measured on sampled pages"),
	PLAIN_OPTION("min_gain", OPTION_BYTES, "100 MB",
				 "rewrite a table only if that would free at least this much"),
	MIN_FREE_OPTION,
	PLAIN_OPTION(
		"concurrently", OPTION_BOOLEAN, "false",
		"from PostgreSQL 19 on, use REPACK (CONCURRENTLY) for tables with a replica identity, also inside a window only: " REPACK_WARNING),
	WINDOW_OPTION,
	SETTINGS_OPTION,
	END_OF_OPTIONS,
};

/* the command for a table */
typedef enum Remedy
{
	REMEDY_CUT_OFF, /* VACUUM that truncates */
	REMEDY_REPACK,	/* a rewrite while the table is in use, 19 and later */
	REMEDY_FULL		/* a rewrite that blocks all other sessions */
} Remedy;

/*
 * Measure a table now, unless it is locked.
 */
static bool
measure(Oid relation, TableBloat *bloat)
{
	return measure_unless_locked(relation, MAX_MARGIN, true, bloat);
}

static bool
is_forced(Jsonb *given)
{
	return option_boolean(options, given, "force");
}

static bool
is_due(Jsonb *given, const TableBloat *bloat)
{
	return bloat->bloat_ratio >
			   option_number(options, given, "bloat_threshold") &&
		   bloat->bloat_bytes >= option_bytes(options, given, "min_gain");
}

/*
 * Fill in the command of a task and its reason.
 */
static void
complete_task(PlannedTask *task, Remedy remedy, bool only,
			  const TableBloat *bloat)
{
	const char *target =
		only ? psprintf("ONLY %s", task->target) : task->target;

	task->reason =
		psprintf("bloat: %s of %s, %.0f %%", size_text(bloat->bloat_bytes),
				 size_text(bloat->total_bytes), 100 * bloat->bloat_ratio);
	task->gain_bytes = bloat->bloat_bytes;
	switch (remedy)
	{
		case REMEDY_CUT_OFF:
			task->command = psprintf("VACUUM (TRUNCATE true) %s", target);
			task->reason = psprintf(
				"%s; %s of it is at the end of the table, where VACUUM can cut it off",
				task->reason, size_text(bloat->tail_bytes));
			task->gain_bytes = bloat->tail_bytes;
			break;
		case REMEDY_REPACK:
			task->command = psprintf("REPACK (CONCURRENTLY) %s", task->target);
			task->reason = psprintf("%s; " REPACK_WARNING, task->reason);
			task->disruptive = true;
			break;
		case REMEDY_FULL:
			task->command = psprintf("VACUUM (FULL, ANALYZE) %s", target);
			task->disruptive = true;
			break;
	}
	task->evidence = psprintf(
		"{\"bloat_bytes\": %lld, \"total_bytes\": %lld, \"bloat_ratio\": %.4f, "
		"\"margin\": %.4f, \"tail_bytes\": %lld, \"gain_bytes\": %lld}",
		(long long) bloat->bloat_bytes, (long long) bloat->total_bytes,
		bloat->bloat_ratio, bloat->margin, (long long) bloat->tail_bytes,
		(long long) task->gain_bytes);
}

/*
 * The session or other holder that keeps dead rows of the table, or NULL.  The
 * caller is inside a ledger scope.
 */
static char *
holder_of_dead_rows(Oid relation, int64 *seconds_held)
{
	RemovableSample sample;

	sample_removable(relation, &sample);
	if (sample.recently_dead == 0)
		return NULL;
	return name_xmin_holder(relation, sample.horizon, seconds_held);
}

/*
 * Measure the table of a row, and decide whether it is due.  A table whose
 * dead rows an old snapshot keeps is planned too: its task then names the
 * holder.
 */
static bool
is_candidate(PlanContext *context, uint64 row, TableBloat *bloat)
{
	Oid relation = named_oid(row, "relation");
	bool many_dead = named_boolean(row, "many_dead");
	int64 seconds_held;

	if (!measure(relation, bloat))
		return false;
	return is_forced(context->options) || is_due(context->options, bloat) ||
		   (many_dead && holder_of_dead_rows(relation, &seconds_held) != NULL);
}

/*
 * Whether REPACK was asked for and is possible: the table needs a replica
 * identity.
 */
static bool
may_repack(Jsonb *given, uint64 row)
{
	return option_boolean(options, given, "concurrently") &&
		   server_can_repack() && named_boolean(row, "has_identity");
}

/*
 * Cutting off the end comes first, unless that freed nothing the last time.
 */
static Remedy
choose_remedy(Jsonb *given, uint64 row, const TableBloat *bloat)
{
	if (bloat->tail_bytes > 0 && bloat->tail_bytes * 2 >= bloat->bloat_bytes &&
		!named_boolean(row, "last_gained_nothing"))
		return REMEDY_CUT_OFF;
	return may_repack(given, row) ? REMEDY_REPACK : REMEDY_FULL;
}

/*
 * Plan every heavily bloated table.  Tables of the system and of pgmaint
 * itself, whose locks would block all sessions, are left out; a TOAST table is
 * part of its owner.
 */
static void
plan_vacuum_full(PlanContext *context)
{
	LedgerQuery query = {0};
	List *left_alone = NIL;
	List *disruptive = NIL;
	bool all = is_forced(context->options);
	SPITupleTable *candidates;
	uint64 rows;

	if (refuse_unsafe_release(context, FIX_MAINTENANCE_AS_OWNER,
							  "VACUUM FULL"))
		return;
	bind_selection(context, &query);
	bind_bigint(&query, option_bytes(options, context->options, "min_gain"));
	bind_double(&query,
				option_number(options, context->options, "bloat_threshold"));
	bind_oid(&query, context->role);
	bind_bigint(&query, context->run_id);
	bind_boolean(&query, all);
	rows = ledger_query(
		&query,
		"SELECT " TARGET_TABLE ", " TABLE_WITH_TOAST ", '' AS reason, "
		"pgmaint_internal.may_maintain(c.oid, $5) AS may_maintain, s.bytes, NULL AS evidence, "
		"c.relhassubclass, "
		"c.relkind = 'r' AND c.relpersistence = 'p' AND EXISTS (SELECT FROM pg_catalog.pg_index i "
		"WHERE i.indrelid = c.oid AND (i.indisreplident OR c.relreplident = 'd' AND i.indisprimary)) AS has_identity, "
		"k.many_dead, "
		"coalesce((SELECT t.bytes_after >= t.bytes_before FROM pgmaint.tasks t "
		"WHERE t.relation = c.oid AND t.action = 'vacuum_full' AND t.state = 'succeeded' "
		"ORDER BY t.finished_at DESC LIMIT 1), false) AS last_gained_nothing "
		"FROM pg_catalog.pg_class c "
		"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN (" OWN_SCHEMAS
		") "
		"JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'heap' "
		"LEFT JOIN pg_catalog.pg_class x ON x.oid = c.reltoastrelid "
		"CROSS JOIN LATERAL (SELECT pgmaint_internal.file_size(c.relfilenode, c.reltablespace, c.relpages) "
		"+ coalesce(pgmaint_internal.file_size(x.relfilenode, x.reltablespace, x.relpages), 0) AS bytes) s "
		"CROSS JOIN LATERAL (SELECT pg_catalog.pg_stat_get_live_tuples(c.oid) AS live, "
		"pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead) d "
		/* space of dead rows by the counters, which old snapshots may keep */
		"CROSS JOIN LATERAL (SELECT d.dead > $4 * (d.live + d.dead) "
		"AND s.bytes * d.dead / nullif(d.live + d.dead, 0) >= $3 AS many_dead) k "
		"WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384 "
		"AND ($7 OR s.bytes >= $3) "
		/* tables that this run has measured and found not to be bloated */
		"AND ($7 OR k.many_dead OR NOT EXISTS (SELECT FROM pgmaint_internal.bloat_measurements m WHERE m.run_id = $6 "
		"AND m.relation = c.oid AND m.bloat_ratio + m.margin < $4 "
		"AND NOT EXISTS (SELECT FROM pgmaint.tasks t WHERE t.run_id = $6 "
		"AND t.relation = c.oid AND t.action = 'retention'))) "
		"AND " SELECTION_CONDITION("c.oid", "n.nspname", "$1",
								   "$2") "ORDER BY s.bytes DESC, c.oid");

	candidates = SPI_tuptable;
	for (uint64 row = 0; row < rows; row++)
	{
		PlannedTask *task;
		TableBloat bloat;

		CHECK_FOR_INTERRUPTS();
		SPI_tuptable = candidates;
		if (!is_candidate(context, row, &bloat))
			continue;
		SPI_tuptable = candidates;
		if (!named_boolean(row, "may_maintain"))
		{
			left_alone = lappend(left_alone, named_text(row, "target"));
			continue;
		}
		task = task_from_row(context, "vacuum_full", row);
		complete_task(task, choose_remedy(context->options, row, &bloat),
					  SERVER_HAS_VACUUM_ONLY &&
						  named_boolean(row, "relhassubclass"),
					  &bloat);
		if (!all && !is_due(context->options, &bloat))
			task->reason = psprintf(
				"%s; more according to the server's count of dead rows",
				task->reason);
		if (task->disruptive)
			disruptive = lappend(disruptive, task->target);
	}
	note_left_alone(context, "VACUUM FULL", left_alone);
	recommend_tools(context, disruptive);
	report_orphaned_files(context);
}

static bool
is_plain_vacuum(const ClaimedTask *task)
{
	return strncmp(task->command, "VACUUM (TRUNCATE", 16) == 0;
}

/*
 * Would the rewrite still free enough?  It copies dead rows that an old
 * snapshot may still see.
 */
static HoldBack
judge_gain(TaskContext *context, const TableBloat *bloat, char **reason)
{
	int64 seconds_held;
	char *holder;

	if (is_forced(context->options) || is_due(context->options, bloat))
		return HOLD_BACK_NOTHING;
	holder = holder_of_dead_rows(context->task->relation, &seconds_held);
	*reason =
		holder == NULL
			? psprintf("not enough bloat is left: %s of %s",
					   size_text(bloat->bloat_bytes),
					   size_text(bloat->total_bytes))
			: psprintf(
				  "%s would be futile: only %s of %s would be freed, because of %s",
				  is_plain_vacuum(context->task) ? "VACUUM" : "VACUUM FULL",
				  size_text(bloat->bloat_bytes), size_text(bloat->total_bytes),
				  holder);
	return holder == NULL || holder_is_old(seconds_held) ? HOLD_BACK_SKIP
														 : HOLD_BACK_RETRY;
}

/*
 * Measure the table again right before the command.  A rewrite is held back
 * that would free little, that would fill the disk, or whose lock request
 * would block other sessions while it waits.
 */
static HoldBack
consider_vacuum_full(TaskContext *context, char **reason)
{
	const ClaimedTask *task = context->task;
	HoldBack hold_back = HOLD_BACK_NOTHING;
	LedgerScope scope;
	TableBloat bloat;

	read_table_state(task->relation, &context->before);
	ledger_enter(&scope);
	*reason = is_repack(task) ? name_backups_in_progress() : NULL;
	if (*reason != NULL)
		hold_back = HOLD_BACK_RETRY;
	else if (!measure(task->relation, &bloat))
	{
		*reason = "the table is locked and cannot be measured";
		hold_back = HOLD_BACK_RETRY;
	}
	else
		hold_back = judge_gain(context, &bloat, reason);
	if (hold_back == HOLD_BACK_NOTHING && !is_plain_vacuum(task))
	{
		*reason = describe_want_of_space(
			&bloat, option_bytes(options, context->options, "min_free"));
		if (*reason != NULL)
			hold_back = HOLD_BACK_SKIP;
		else
		{
			*reason =
				name_old_lock_holders(task->task_id, context->lock_timeout);
			if (*reason != NULL)
			{
				*reason = psprintf(
					"other sessions would wait behind the lock request: %s",
					*reason);
				hold_back = HOLD_BACK_RETRY;
			}
		}
	}
	ledger_leave(&scope);
	return hold_back;
}

/*
 * Record what the rewrite gained.  A rewritten table has another file.
 */
static void
record_vacuum_full(TaskContext *context)
{
	const ClaimedTask *task = context->task;
	bool plain = is_plain_vacuum(task);
	TableState after;

	read_table_state(task->relation, &after);
	if (plain ? nothing_was_done(task->relation, context->before.last_vacuum,
								 after.last_vacuum)
			  : after.filenode == context->before.filenode)
	{
		context->not_done = "VACUUM passed the table over";
		return;
	}
	if (is_repack(task))
		note_repack(context);
	context->result = psprintf(
		"{\"pages_before\": %lld, \"pages_after\": %lld, "
		"\"dead_rows_before\": %lld, \"dead_rows_after\": %lld, "
		"\"returned_bytes\": %lld, \"analyzed\": %s}",
		(long long) context->before.pages, (long long) after.pages,
		(long long) context->before.dead_rows, (long long) after.dead_rows,
		(long long) context->returned_bytes,
		!plain && after.last_analyze > context->before.last_analyze ? "true"
																	: "false");
}

DEFINE_ACTION(vacuum_full) = {
	.name = "vacuum_full",
	.description =
		"rewrite heavily bloated tables with VACUUM FULL inside a maintenance window, or cut off their free end with VACUUM where that is enough",
	.options = options,
	.plan = plan_vacuum_full,
	.consider = consider_vacuum_full,
	.outside = execute_rewrite,
	.record = record_vacuum_full,
	.describe = describe_gains,
};
