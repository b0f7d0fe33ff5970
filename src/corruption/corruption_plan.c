/*-------------------------------------------------------------------------
 *
 * corruption_plan.c
 *	  Which tables and indexes a step of "check_corruption" checks.
 *
 * A database may have more of them than a leader can keep in memory as tasks,
 * and than the time budget allows.  Rows come from a cursor, only as many as
 * the workers can check; the memory of a task is kept small.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "action/selection.h"
#include "base/pieces.h"
#include "corruption/corruption_plan.h"
#include "corruption/corruption_reach.h"
#include "ledger/windows.h"

#define ROWS_AT_ONCE 1000

/* the engine's estimate, for a check that must end within a window */
#define CAUTIOUS_BYTES_PER_SECOND (5.0 * 1024 * 1024)

typedef struct Planning
{
	PlanContext *context;
	const CheckPlan *plan;
	WindowState window;
	bool held_back; /* tasks may be held back: see may_be_held_back() */
	Reach reach[2]; /* [1]: of these */
	char *until;	/* for the evidence of tasks, or NULL */
	Pieces pieces;
	/* the strings of the last task are often those of the next */
	char *target;
	char *reason;
	char *evidence[AMCHECK_KINDS];
} Planning;

/*
 * How a relation of this access method is checked; AMCHECK_KINDS: not at all.
 */
static AmcheckKind
kind_for_method(const char *method)
{
	if (strcmp(method, "heap") == 0)
		return AMCHECK_HEAP;
	if (strcmp(method, "btree") == 0)
		return AMCHECK_INDEX;
	if (strcmp(method, "gin") == 0)
		return AMCHECK_GIN;
	return AMCHECK_KINDS;
}

static AmcheckKind
chosen_kind(const CheckPlan *plan, const char *method)
{
	AmcheckKind kind = kind_for_method(method);

	return kind == AMCHECK_INDEX && plan->parents ? AMCHECK_INDEX_WITH_PARENT
												  : kind;
}

/* the relations that a step is about; parameters $1 and $2 select them */
#define RELATIONS                                  \
	"FROM pgmaint_internal.checkable_relations v " \
	"JOIN pg_catalog.pg_namespace n ON n.oid = v.table_namespace "
#define SELECTED \
	"WHERE " SELECTION_CONDITION("v.table_oid", "n.nspname", "$1", "$2")

/*
 * How many relations there are of each kind, whether they can be checked or
 * not.
 */
void
count_checkable(PlanContext *context, const CheckPlan *plan,
				Checkable *checkable)
{
	LedgerQuery query = {0};
	uint64 rows;

	memset(checkable, 0, sizeof(*checkable));
	bind_selection(context, &query);
	rows = ledger_query(&query, "SELECT v.method::pg_catalog.text, "
								"pg_catalog.count(*) " RELATIONS SELECTED
								"GROUP BY v.method");
	for (uint64 row = 0; row < rows; row++)
	{
		AmcheckKind kind = chosen_kind(plan, ledger_text(row, 1));

		if (kind == AMCHECK_KINDS)
			checkable->without_check += ledger_bigint(row, 2);
		else
			checkable->by_kind[kind] += ledger_bigint(row, 2);
	}
}

/*
 * The access methods whose relations can be checked.
 */
static List *
checkable_methods(const CheckPlan *plan)
{
	static const char *const methods[] = {"heap", "btree", "gin"};
	List *list = NIL;

	for (int i = 0; i < lengthof(methods); i++)
	{
		if (can_be_checked(plan->amcheck, chosen_kind(plan, methods[i])))
			list = lappend(list, (char *) methods[i]);
	}
	return list;
}

/*
 * Relations that can be checked, least recently checked first; what was never
 * checked comes before all, the largest first.
 *
 * The subquery sorts, and the outer query builds the reasons, for the rows
 * that are fetched only.
 */
static Portal
open_relations(PlanContext *context, const CheckPlan *plan)
{
	MemoryContext caller = CurrentMemoryContext;
	LedgerQuery query = {0};
	Portal portal;

	bind_selection(context, &query);
	bind_texts(&query, checkable_methods(plan));
	portal = SPI_cursor_open_with_args(
		NULL,
		"SELECT s.relation, s.schema::pg_catalog.text, s.name::pg_catalog.text, "
		"s.method::pg_catalog.text, s.bytes, "
		"coalesce(pg_catalog.extract('epoch', s.duration) / greatest(s.checked_bytes, 8192), s.usual_rate)"
		"::pg_catalog.float8 * greatest(s.bytes, 8192) AS seconds, "
		"s.check_name = 'index with parent' AND s.duration IS NOT NULL AS measured_with_parent, "
		"pg_catalog.concat_ws(', ', CASE "
		"WHEN s.begun_at IS NULL THEN 'never checked' "
		"WHEN s.next_block IS NOT NULL THEN pg_catalog.format('checked up to block %s on %s', "
		"s.next_block, s.begun_at::pg_catalog.date) "
		"WHEN s.last_checked IS NULL OR s.begun_at > s.last_checked THEN "
		"pg_catalog.format('the check of %s was not finished', s.begun_at::pg_catalog.timestamptz(0)) "
		"WHEN s.outcome = 'damaged' THEN pg_catalog.format('found damaged on %s', s.problems_at::pg_catalog.date) "
		"ELSE pg_catalog.format('last proven sound on %s', s.last_verified::pg_catalog.date) END, "
		"pg_catalog.pg_size_pretty(s.bytes), "
		"CASE WHEN s.schema = 'pg_toast' THEN (SELECT 'TOAST of ' || CASE WHEN n.nspname = 'pg_catalog' "
		"THEN pg_catalog.quote_ident(b.relname) ELSE pg_catalog.format('%I.%I', n.nspname, b.relname) END "
		"FROM pg_catalog.pg_class b JOIN pg_catalog.pg_namespace n ON n.oid = b.relnamespace "
		"WHERE b.oid = s.table_oid) END) AS reason, "
		"', \"last_verified\": ' || pg_catalog.to_jsonb(s.last_verified)::pg_catalog.text AS last_verified, "
		"', \"from_block\": ' || s.next_block AS from_block "
		"FROM (SELECT v.relation, v.schema, v.name, v.method, v.table_oid, z.bytes, "
		"r.begun_at, r.next_block, r.last_checked, r.last_verified, r.outcome, r.problems_at, "
		"r.check_name, r.duration, r.bytes AS checked_bytes, "
		"(SELECT pg_catalog.extract('epoch', pg_catalog.sum(k.duration)) / nullif(pg_catalog.sum(k.bytes), 0) "
		"FROM pgmaint_internal.corruption_results k WHERE k.bytes > 0) AS usual_rate " RELATIONS
		"LEFT JOIN pgmaint_internal.corruption_results r ON r.relation = v.relation "
		"CROSS JOIN LATERAL (SELECT pgmaint_internal.file_size(v.filenode, v.tablespace, v.pages) AS bytes) z " SELECTED
		"AND v.method = ANY ($3) "
		"ORDER BY r.begun_at NULLS FIRST, z.bytes DESC, v.relation OFFSET 0) s "
		"ORDER BY s.begun_at NULLS FIRST, s.bytes DESC, s.relation",
		query.count, query.types, query.values, query.nulls, false, 0);
	MemoryContextSwitchTo(caller);
	if (portal == NULL)
		elog(ERROR, "SPI_cursor_open_with_args failed: %s",
			 SPI_result_code_string(SPI_result));
	return portal;
}

/*
 * The time from which on no check begins, for the evidence.  The budget runs
 * from here: sorting the relations of a large database must not use it up.
 */
static char *
end_of_budget(double budget)
{
	LedgerQuery query = {0};

	bind_double(&query, budget);
	(void) ledger_query(
		&query,
		"SELECT ', \"until\": ' || pg_catalog.to_jsonb(pg_catalog.clock_timestamp() + "
		"pg_catalog.make_interval(secs => $1))::pg_catalog.text");
	return ledger_text(0, 1);
}

/*
 * The check of a row's relation as a task.
 */
static PlannedTask *
make_check(Planning *planning, uint64 row, AmcheckKind kind)
{
	Pieces *pieces = &planning->pieces;
	PlannedTask *task = take_piece(pieces, sizeof(PlannedTask));
	char *last_verified = named_text(row, "last_verified");
	char *from_block = named_text(row, "from_block");

	memset(task, 0, sizeof(*task));
	task->action = "check_corruption";
	task->relation = named_oid(row, "relation");
	task->target =
		keep_another(pieces, &planning->target,
					 quote_qualified_identifier(named_text(row, "schema"),
												named_text(row, "name")));
	task->bytes = named_bigint(row, "bytes");
	task->disruptive = kind == AMCHECK_INDEX_WITH_PARENT;
	task->command = keep_string(
		pieces, amcheck_command(planning->plan->amcheck, kind, task->target));
	task->reason =
		keep_another(pieces, &planning->reason, named_text(row, "reason"));
	task->evidence =
		keep_another(pieces, &planning->evidence[kind],
					 psprintf("{\"check\": \"%s\"%s%s%s}", amcheck_name(kind),
							  planning->until == NULL ? "" : planning->until,
							  last_verified == NULL ? "" : last_verified,
							  from_block == NULL ? "" : from_block));
	return task;
}

/*
 * May the engine hold the task back?  The criteria are those of the engine.
 * Such tasks have a reach of their own: they stay the least recently checked,
 * and would keep all other relations from being checked.
 */
static bool
may_be_held_back(const Planning *planning, uint64 row, AmcheckKind kind,
				 double seconds)
{
	if (!planning->held_back || kind != AMCHECK_INDEX_WITH_PARENT)
		return false;
	if (!named_boolean(row, "measured_with_parent"))
		seconds =
			(double) named_bigint(row, "bytes") / CAUTIOUS_BYTES_PER_SECOND;
	return !planning->window.open ||
		   1000 * seconds > window_milliseconds_left(&planning->window);
}

/*
 * The duration of the last check of the relation, or an estimate from checks
 * of other relations; negative when nothing is known.
 */
static double
known_seconds(uint64 row)
{
	bool isnull;
	Datum seconds = named_datum(row, "seconds", &isnull);

	return isnull ? -1 : DatumGetFloat8(seconds);
}

/*
 * Add the task of a row, if the time may suffice for it.  Returns false when
 * the time suffices for no other task, either.
 */
static bool
plan_check(Planning *planning, uint64 row)
{
	const CheckPlan *plan = planning->plan;
	PlanContext *context = planning->context;
	AmcheckKind kind = chosen_kind(plan, named_text(row, "method"));
	double seconds = known_seconds(row);
	Reach *reach =
		&planning->reach[may_be_held_back(planning, row, kind, seconds)];

	if (is_within_reach(reach))
	{
		PlannedTask *task = make_check(planning, row, kind);
		MemoryContext batch;

		if (kind == AMCHECK_INDEX_WITH_PARENT && plan->gently_also)
			task->gentler = make_check(planning, row, AMCHECK_INDEX);
		batch = MemoryContextSwitchTo(planning->pieces.context);
		context->tasks = lappend(context->tasks, task);
		MemoryContextSwitchTo(batch);
		extend_reach(reach, task->bytes, seconds);
	}
	return is_within_reach(&planning->reach[0]) ||
		   (planning->held_back && is_within_reach(&planning->reach[1]));
}

/*
 * Plan the checks of tables and indexes, as far as the time may suffice for
 * them.  Returns how many were planned.
 */
int64
plan_checks(PlanContext *context, const CheckPlan *plan)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext batch = AllocSetContextCreate(caller, "pgmaint relations",
												ALLOCSET_DEFAULT_SIZES);
	Planning planning = {0};
	Portal portal = open_relations(context, plan);
	bool more = true;

	planning.context = context;
	planning.plan = plan;
	planning.pieces.context = caller;
	begin_reach(&planning.reach[0], context, plan->budget);
	planning.reach[1] = planning.reach[0];
	planning.held_back =
		plan->parents && !plan->gently_also && !plan->any_time;
	read_window_state(&planning.window);
	while (more)
	{
		SPITupleTable *rows;
		uint64 count;

		SPI_cursor_fetch(portal, true, ROWS_AT_ONCE);
		rows = SPI_tuptable;
		count = SPI_processed;
		MemoryContextSwitchTo(caller);
		if (plan->budget > 0 && planning.until == NULL)
			planning.until = end_of_budget(plan->budget);
		SPI_tuptable = rows;
		MemoryContextSwitchTo(batch);
		more = count > 0;
		for (uint64 row = 0; more && row < count; row++)
		{
			CHECK_FOR_INTERRUPTS();
			more = plan_check(&planning, row);
		}
		MemoryContextSwitchTo(caller);
		SPI_freetuptable(rows);
		MemoryContextReset(batch);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
	return planning.reach[0].checks + planning.reach[1].checks;
}
