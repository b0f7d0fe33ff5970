/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Durations of earlier tasks in the ledger.
 *
 * The caller is inside a ledger scope.  Disruptive and other commands of an
 * action are kept apart: they take different times.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "ledger/history.h"

/* milliseconds for each byte of a task t */
#define RATE                                                                    \
	"1000 * pg_catalog.extract('epoch', t.finished_at - t.started_at)::float8 " \
	"/ greatest(t.bytes_before, 8192) AS rate "

/*
 * The histories of planned tasks of one action, in their order.
 */
TaskHistory *
read_histories(List *tasks)
{
	int count = list_length(tasks);
	TaskHistory *histories = palloc0(sizeof(TaskHistory) * Max(count, 1));
	Datum *relations = palloc(sizeof(Datum) * Max(count, 1));
	Datum *disruptive = palloc(sizeof(Datum) * Max(count, 1));
	LedgerQuery query = {0};
	ListCell *cell;
	uint64 rows;

	if (tasks == NIL)
		return histories;
	foreach (cell, tasks)
	{
		PlannedTask *task = lfirst(cell);

		relations[foreach_current_index(cell)] =
			ObjectIdGetDatum(task->relation);
		disruptive[foreach_current_index(cell)] =
			BoolGetDatum(task->disruptive);
	}
	bind_text(&query, ((PlannedTask *) linitial(tasks))->action);
	bind_datum(
		&query, OIDARRAYOID,
		PointerGetDatum(construct_array(relations, count, OIDOID, sizeof(Oid),
										true, TYPALIGN_INT)));
	bind_datum(
		&query, BOOLARRAYOID,
		PointerGetDatum(construct_array(disruptive, count, BOOLOID,
										sizeof(bool), true, TYPALIGN_CHAR)));
	rows = ledger_query(
		&query,
		"SELECT h.runs, h.rate, coalesce(1000 * pg_catalog.extract('epoch', "
		"c.elapsed), 0)::int8 AS cut_short, c.last_at "
		"FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) "
		"WITH ORDINALITY AS p (relation, disruptive, nth) "
		"CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS runs, pg_catalog.max(s.finished_at) AS finished_at, "
		"pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY s.rate) AS rate "
		"FROM (SELECT t.finished_at, " RATE "FROM pgmaint.tasks t "
		"WHERE t.action = $1 AND t.relation = p.relation AND t.disruptive = p.disruptive "
		"AND t.state = 'succeeded' AND t.bytes_before IS NOT NULL "
		"ORDER BY t.finished_at DESC LIMIT 5) s) h "
		"CROSS JOIN LATERAL (SELECT pg_catalog.max(t.started_at) AS last_at, "
		"pg_catalog.max(t.finished_at - t.started_at) FILTER (WHERE t.state = 'cancelled' "
		"AND (h.finished_at IS NULL OR t.finished_at > h.finished_at)) AS elapsed "
		"FROM pgmaint.tasks t WHERE t.action = $1 AND t.relation = p.relation "
		"AND t.disruptive = p.disruptive AND t.state <> 'skipped') c "
		"ORDER BY p.nth");
	for (uint64 row = 0; row < rows; row++)
	{
		TaskHistory *history = &histories[row];
		bool isnull;
		Datum value;

		history->runs = (int) named_bigint(row, "runs");
		value = named_datum(row, "rate", &isnull);
		history->rate = isnull ? -1 : DatumGetFloat8(value);
		history->cut_short = named_bigint(row, "cut_short");
		history->last_at = named_time(row, "last_at", 0);
	}
	SPI_freetuptable(SPI_tuptable);
	return histories;
}

/*
 * Milliseconds per byte of the latest tasks of an action in this database;
 * negative if unknown.
 */
double
usual_rate(const char *action, bool disruptive)
{
	LedgerQuery query = {0};
	bool isnull;
	Datum rate;

	bind_text(&query, action);
	bind_boolean(&query, disruptive);
	/* by the index tasks_action, from its end */
	(void) ledger_query_by_index(
		&query,
		"SELECT pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY h.rate) "
		"FROM (SELECT " RATE "FROM pgmaint.tasks t "
		"WHERE t.action = $1 AND t.disruptive = $2 AND " TELLING_TASKS
		"ORDER BY t.finished_at DESC LIMIT 50) h");
	rate = ledger_datum(0, 1, &isnull);
	SPI_freetuptable(SPI_tuptable);
	return isnull ? -1 : DatumGetFloat8(rate);
}
