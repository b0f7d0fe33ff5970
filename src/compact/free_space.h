/*-------------------------------------------------------------------------
 *
 * free_space.h
 *	  The end of a table, hidden from the free space map while its rows are
 *	  moved.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_FREE_SPACE_H
#define PGMAINT_FREE_SPACE_H

#include "compact/compaction.h"

extern void note_hidden_space(Oid extension, const Compaction *compaction);
extern bool hide_free_space(Oid relation, BlockNumber from, BlockNumber to);
extern void show_free_space_between(Oid relation, BlockNumber from,
									BlockNumber to);
extern bool show_free_space(Oid extension, Oid relation);
extern void show_free_space_left(Oid extension);

#endif /* PGMAINT_FREE_SPACE_H */
