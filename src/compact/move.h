/*-------------------------------------------------------------------------
 *
 * move.h
 *	  Moves rows from the end of a table into free space at its front.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MOVE_H
#define PGMAINT_MOVE_H

#include "access/transam.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "storage/itemptr.h"

/*
 * The state of a compaction: between two batches no page is pinned and no
 * transaction is open.
 */
typedef struct Compaction
{
	Oid relation;
	Oid filenode;		/* a rewrite of the table ends the compaction */
	BlockNumber floor;	/* rows are moved from no page before this one */
	BlockNumber front;	/* pages before this one have no room */
	BlockNumber tail;	/* pages from this one on were emptied or passed */
	BlockNumber hidden; /* the free space map shows no room from here on */
	BlockNumber end;	/* pages of the table when the pass began */
	bool full;			/* no free space is left before the tail */
	bool published;		/* subscribers may be sent the moved rows */
	ItemPointerData current; /* the row that is being moved */
	List *unmovable;		 /* ItemPointers: rows whose move failed */
	char *failure;			 /* why, for the first of them */
	int64 rows_moved;
	int64 pages_emptied;
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

extern void begin_pass(Compaction *compaction);
extern BatchEnd move_batch(Compaction *compaction);

#endif /* PGMAINT_MOVE_H */
