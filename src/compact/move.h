/*-------------------------------------------------------------------------
 *
 * move.h
 *	  Moves rows from the end of a table into free space at its front.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_MOVE_H
#define PGMAINT_MOVE_H

#include "compact/compaction.h"

extern BatchEnd move_rows(Batch *batch);

#endif /* PGMAINT_MOVE_H */
