/*-------------------------------------------------------------------------
 *
 * tablestate.c
 *	  What the server knows of a table, before and after a task.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "action/tablestate.h"
#include "base/compat.h"
#include "base/rights.h"

PG_FUNCTION_INFO_V1(pgmaint_autovacuum_scores);

#define STATISTIC(function, relation) \
	DatumGetInt64(DirectFunctionCall1(function, ObjectIdGetDatum(relation)))

/*
 * When something was done to a relation; zero for never.
 */
static TimestampTz
time_of(PGFunction function, Oid relation)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum result;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(relation);
	fcinfo->args[0].isnull = false;
	result = function(fcinfo);
	return fcinfo->isnull ? 0 : DatumGetTimestampTz(result);
}

/*
 * Everything is zero for a relation that is gone.
 */
void
read_table_state(Oid relation, TableState *state)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Form_pg_class form;

	memset(state, 0, sizeof(*state));
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	state->filenode = form->relfilenode;
	state->pages = form->relpages;
	state->all_visible_pages = form->relallvisible;
	ReleaseSysCache(tuple);

	state->live_rows = STATISTIC(pg_stat_get_live_tuples, relation);
	state->dead_rows = STATISTIC(pg_stat_get_dead_tuples, relation);
	state->modified_rows = STATISTIC(pg_stat_get_mod_since_analyze, relation);
	state->last_vacuum = time_of(pg_stat_get_last_vacuum_time, relation);
	state->last_analyze = time_of(pg_stat_get_last_analyze_time, relation);
	state->xid_age = transaction_age(relation);
}

/*
 * The age of a table's relfrozenxid; zero where it has none.
 */
int64
transaction_age(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	TransactionId frozen = InvalidTransactionId;

	if (HeapTupleIsValid(tuple))
	{
		frozen = ((Form_pg_class) GETSTRUCT(tuple))->relfrozenxid;
		ReleaseSysCache(tuple);
	}
	if (!TransactionIdIsNormal(frozen))
		return 0;
	return (int32) (XidFromFullTransactionId(ReadNextFullTransactionId()) -
					frozen);
}

#if SERVER_TIMES_MAINTENANCE

#define TIME(function, relation) \
	DatumGetFloat8(DirectFunctionCall1(function, ObjectIdGetDatum(relation)))

static double
mean(double total, int64 count)
{
	return count > 0 ? total / count : -1;
}

/*
 * Milliseconds that VACUUM of the relation took on average, autovacuum's too;
 * negative where nothing is known.
 */
double
usual_vacuum_duration(Oid relation)
{
	return mean(TIME(pg_stat_get_total_vacuum_time, relation) +
					TIME(pg_stat_get_total_autovacuum_time, relation),
				STATISTIC(pg_stat_get_vacuum_count, relation) +
					STATISTIC(pg_stat_get_autovacuum_count, relation));
}

double
usual_analyze_duration(Oid relation)
{
	return mean(TIME(pg_stat_get_total_analyze_time, relation) +
					TIME(pg_stat_get_total_autoanalyze_time, relation),
				STATISTIC(pg_stat_get_analyze_count, relation) +
					STATISTIC(pg_stat_get_autoanalyze_count, relation));
}

#else

double
usual_vacuum_duration(Oid relation)
{
	return -1;
}

double
usual_analyze_duration(Oid relation)
{
	return -1;
}

#endif

/*
 * VACUUM and ANALYZE that pass a table over say so with no more than a
 * warning.  The server's own note of the last one tells, where it is kept and is
 * up to date at once.  (Its count of them would start anew, and could come to
 * the same number, when statistics are reset meanwhile.)  Where it lags, what
 * tells is whether the reason to pass a table over is there: rights that are gone,
 * or the table itself.
 */
bool
nothing_was_done(Oid relation, TimestampTz before, TimestampTz after)
{
	if (!SERVER_COUNTS_AT_ONCE)
		return !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) ||
			   !may_maintain_relation(relation, GetUserId());
	return pgstat_track_counts && after == before;
}

/*
 * pgmaint_internal.autovacuum_scores(): how urgent the server thinks each table is.  The
 * SQL of the extension cannot name a function that only some servers have.  The
 * rows are the server's own: ours has the same columns.
 */
Datum
pgmaint_autovacuum_scores(PG_FUNCTION_ARGS)
{
#if SERVER_SCORES_TABLES
	return pg_stat_get_autovacuum_scores(fcinfo);
#else
	materialize_result(fcinfo);
	return (Datum) 0;
#endif
}
