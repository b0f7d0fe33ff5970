/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  One transaction that moves rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BATCH_H
#define PGMAINT_BATCH_H

#include "compact/compaction.h"

extern void begin_round(Compaction *compaction);
extern void begin_pass(Compaction *compaction);
extern void check_table(const Compaction *compaction, Relation relation);
extern BatchEnd move_batch(Compaction *compaction);

#endif /* PGMAINT_BATCH_H */
