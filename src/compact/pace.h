/*-------------------------------------------------------------------------
 *
 * pace.h
 *	  How fast a compaction may go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_PACE_H
#define PGMAINT_PACE_H

#include "executor/instrument.h"
#include "utils/timestamp.h"

typedef struct Pace
{
	int64 max_wal_rate; /* bytes per second; 0: any */
	int64 max_lag;		/* bytes that a standby may be behind; 0: any */
	int max_wait;		/* milliseconds to wait for standbys at a time */
	TimestampTz began;
	TimestampTz next_look; /* at standbys */
	uint64 wal_at_begin;
	uint64 waited;		  /* for a processor, before the batch */
	int64 batches_took;	  /* microseconds of this round's batches ... */
	int64 batches_waited; /* ... in which they waited for a processor */
	BufferUsage buffers;
	TimestampTz batch_began;
	bool standby_is_late;
} Pace;

extern void begin_pace(Pace *pace);
extern void begin_to_count_cost(Pace *pace);
extern void keep_pace(Pace *pace, Oid extension);
extern bool server_is_busy(const Pace *pace);
extern void sleep_for(int64 milliseconds);
extern bool standby_is_connected(Oid extension);
extern char *multixacts_run_high(void);

#endif /* PGMAINT_PACE_H */
