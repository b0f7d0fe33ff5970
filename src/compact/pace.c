/*-------------------------------------------------------------------------
 *
 * pace.c
 *	  How fast a compaction may go.
 *
 * Between two batches, without a transaction or a lock, a compaction waits for
 * as long as vacuum_cost_delay, a limit of WAL and the lag of standbys ask it
 * to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/multixact.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "compact/pace.h"
#include "ledger/ledger.h"

/*
 * Pauses on a busy server, as a multiple of the time for which batches had to
 * wait for a processor, and at most as a multiple of the batches themselves.
 */
#define SHARE_OF_OTHERS 10
#define MAX_SHARE 5

/* on a busy server batches wait for more than this share of their time */
#define BUSY_SHARE 16

/* how often standbys are looked at, in milliseconds */
#define LOOK_INTERVAL 500

void
begin_pace(Pace *pace)
{
	pace->began = GetCurrentTimestamp();
	pace->next_look = pace->began;
	pace->wal_at_begin = pgWalUsage.wal_bytes;
	pace->standby_is_late = false;
}

/*
 * Sleep without a transaction; a cancel ends it.
 */
void
sleep_for(int64 milliseconds)
{
	TimestampTz until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		CHECK_FOR_INTERRUPTS();
		if (now >= until)
			return;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(now, until) + 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/*
 * Nanoseconds for which this process was ready to run, but other processes had
 * the processors; 0 where the system does not tell.
 */
static uint64
time_without_processor(void)
{
	char line[64];
	uint64 waited = 0;
	int file = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	ssize_t length;
	char *space;

	if (file < 0)
		return 0;
	length = read(file, line, sizeof(line) - 1);
	(void) close(file);
	line[Max(length, 0)] = '\0';
	space = strchr(line, ' ');
	if (space != NULL)
		waited = strtoull(space, NULL, 10);
	return waited;
}

/*
 * Reading and writing pages costs what it does in VACUUM.  The server's own
 * counting would let a batch sleep while it holds locks on rows.
 */
void
begin_to_count_cost(Pace *pace)
{
	pace->batch_began = GetCurrentTimestamp();
	pace->waited = time_without_processor();
	pace->buffers = pgBufferUsage;
}

static void
sleep_for_cost(const Pace *pace)
{
	double cost = (double) (pgBufferUsage.shared_blks_hit -
							pace->buffers.shared_blks_hit) *
					  VacuumCostPageHit +
				  (double) (pgBufferUsage.shared_blks_read -
							pace->buffers.shared_blks_read) *
					  VacuumCostPageMiss +
				  (double) (pgBufferUsage.shared_blks_dirtied -
							pace->buffers.shared_blks_dirtied) *
					  VacuumCostPageDirty;

	if (VacuumCostDelay > 0 && VacuumCostLimit > 0)
		sleep_for((int64) (VacuumCostDelay * cost / VacuumCostLimit));
}

/*
 * Processes that this one has had to wait for want the processors as much as
 * it does: let them have these for longer.
 */
static void
sleep_for_others(Pace *pace)
{
	TimestampTz batch = GetCurrentTimestamp() - pace->batch_began;
	int64 waited = (int64) (time_without_processor() - pace->waited) / 1000;

	pace->batches_took += batch;
	pace->batches_waited += waited;
	sleep_for(Min(waited * SHARE_OF_OTHERS, batch * MAX_SHARE) / 1000);
}

/*
 * Have other processes wanted the processors for much of the time?
 */
bool
server_is_busy(const Pace *pace)
{
	return pace->batches_waited * BUSY_SHARE > pace->batches_took;
}

static void
sleep_for_wal(const Pace *pace)
{
	double wal = (double) (pgWalUsage.wal_bytes - pace->wal_at_begin);
	TimestampTz due;

	if (pace->max_wal_rate <= 0)
		return;
	due = pace->began +
		  (int64) (wal / (double) pace->max_wal_rate * USECS_PER_SEC);
	sleep_for((due - GetCurrentTimestamp()) / 1000);
}

/*
 * Bytes that the slowest standby has yet to replay.
 */
static int64
largest_lag(Oid extension)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	int64 lag;

	ledger_begin(&scope, extension);
	(void) ledger_query(
		&query,
		"SELECT coalesce(pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)), 0)::pg_catalog.int8 "
		"FROM pg_catalog.pg_stat_replication r");
	lag = ledger_bigint(0, 1);
	ledger_commit(&scope);
	return lag;
}

/*
 * A standby whose replay is paused would be waited for without end: after
 * max_wait the compaction has to stop.
 */
static void
wait_for_standbys(Pace *pace, Oid extension)
{
	TimestampTz began = GetCurrentTimestamp();

	if (pace->max_lag <= 0 || began < pace->next_look)
		return;
	while (!pace->standby_is_late && largest_lag(extension) > pace->max_lag)
	{
		pace->standby_is_late = TimestampDifferenceExceeds(
			began, GetCurrentTimestamp(), pace->max_wait);
		sleep_for(LOOK_INTERVAL);
	}
	pace->next_look =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL);
}

void
keep_pace(Pace *pace, Oid extension)
{
	sleep_for_cost(pace);
	sleep_for_others(pace);
	sleep_for_wal(pace);
	wait_for_standbys(pace, extension);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Does a standby replay what this server does?
 */
bool
standby_is_connected(Oid extension)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	bool connected;

	ledger_begin(&scope, extension);
	(void) ledger_query(&query,
						"SELECT pgmaint_internal.standby_is_connected()");
	connected = ledger_boolean(0, 1);
	ledger_commit(&scope);
	return connected;
}

/*
 * Why moving more rows, some of which other sessions have locked, might make
 * the server run out of multixacts; or NULL.
 */
char *
multixacts_run_high(void)
{
	MultiXactId oldest;
	MultiXactId next;

	ReadMultiXactIdRange(&oldest, &next);
	if (next - oldest > (MultiXactId) autovacuum_multixact_freeze_max_age)
		return psprintf("%u multixacts are in use", next - oldest);
	if (MultiXactMemberFreezeThreshold() < autovacuum_multixact_freeze_max_age)
		return pstrdup("members of multixacts take much space");
	return NULL;
}
