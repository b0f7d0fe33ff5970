/*-------------------------------------------------------------------------
 *
 * room.h
 *	  Room for rows at the front of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ROOM_H
#define PGMAINT_ROOM_H

#include "compact/compaction.h"

extern bool time_is_up(Batch *batch);
extern BlockNumber first_page_to_hide(const Compaction *compaction,
									  BlockNumber ahead);
extern BlockNumber find_room(Batch *batch, Size length);

#endif /* PGMAINT_ROOM_H */
