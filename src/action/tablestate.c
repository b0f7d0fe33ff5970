/*-------------------------------------------------------------------------
 *
 * tablestate.c
 *	  The server's statistics of a table, before and after a task.
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
 * The time that a statistics function returns for a relation; zero for never.
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
 * Everything is zero for a relation that was dropped.
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
 * The age of a table's relfrozenxid; zero if it has none.
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
 * The average duration of VACUUM of the relation, including autovacuum, in
 * milliseconds; negative if unknown.
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
 * VACUUM and ANALYZE skip a table with a mere warning.  The server's time of
 * the last one shows it, where that is recorded and current at once.  (Its
 * counter would restart when statistics are reset meanwhile, and could reach
 * the same number.)  Where statistics lag, the reasons for skipping are
 * checked: missing rights, or a table that was dropped.
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
 * pgmaint_internal.autovacuum_scores(): how urgent each table is to
 * autovacuum.  The SQL of the extension cannot name a function that only some
 * servers have.  The rows are passed through: the columns are the same.
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
