/*-------------------------------------------------------------------------
 *
 * compaction.h
 *	  The state of a compaction, its limits, and the state of one batch of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COMPACTION_H
#define PGMAINT_COMPACTION_H

#include "access/transam.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* what the task may do, and how fast */
typedef struct CompactLimits
{
	bool published;		/* also if subscribers are sent the moved rows */
	bool any_time;		/* cut off the end although a standby is connected */
	int64 max_wal_rate; /* bytes per second; 0: any */
	int64 max_lag;		/* bytes; 0: any */
	bool has_dead_rows; /* that take much of the table */
	int64 kept_pages;	/* a rewrite would need no fewer */
} CompactLimits;

/*
 * Where to look for room, for rows of about the same length: a long row that
 * finds none must not keep short rows from the pages that it has passed.
 */
typedef struct Finger
{
	BlockNumber block; /* pages before this one have no room */
	Size least;		   /* of what was looked for; 0: nothing yet */
} Finger;

#define FINGER_BYTES 512
#define FINGERS (BLCKSZ / FINGER_BYTES + 1)

/*
 * The state of a compaction: between two batches no page is pinned and no
 * transaction is open.
 */
typedef struct Compaction
{
	Oid relation;
	Finger fingers[FINGERS];
	Oid filenode;		/* a rewrite of the table ends the compaction */
	BlockNumber floor;	/* rows are moved from no page before this one */
	BlockNumber tail;	/* pages from this one on were emptied or passed */
	BlockNumber hidden; /* the free space map shows no room from here on */
	BlockNumber end;	/* pages of the table when the pass began */
	bool stuck;			/* a row has no room, or cannot be moved */
	bool published;		/* subscribers may be sent the moved rows */
	ItemPointerData current;  /* the row that is being moved */
	List *unmovable;		  /* ItemPointers: rows whose move failed */
	char *failure;			  /* why, for the first of them */
	ItemPointerData conflict; /* the row at which the last batch failed */
	int conflicts;			  /* batches in a row that did */
	int64 rows_moved;
	int64 rows_passed;	/* in this pass: locked or new */
	TransactionId last; /* the last batch is older than this transaction */
} Compaction;

/* how a batch ended */
typedef enum BatchEnd
{
	BATCH_MORE,	  /* there is more to move */
	BATCH_DONE,	  /* the pass is complete, or the front is full */
	BATCH_LOCKED, /* another session has a lock on the table, or waits for one */
	BATCH_FAILED /* it was rolled back, and may be tried again */
} BatchEnd;

/* what a batch works with, from its begin to its end */
typedef struct Batch
{
	Compaction *compaction;
	Relation relation;
	TupleTableSlot *slot;
	EState *estate;
	ResultRelInfo *result;
	Size reserved;		   /* of each page, for fillfactor */
	TimestampTz page_ends; /* no other page from then on */
	TimestampTz row_ends;  /* no other row from then on */
	bool time_is_up;
} Batch;

#endif /* PGMAINT_COMPACTION_H */
