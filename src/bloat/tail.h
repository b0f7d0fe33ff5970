/*-------------------------------------------------------------------------
 *
 * tail.h
 *	  How much of a table's end VACUUM could cut off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_TAIL_H
#define PGMAINT_BLOAT_TAIL_H

#include "utils/rel.h"

extern int64 free_tail_bytes(Relation rel);

#endif /* PGMAINT_BLOAT_TAIL_H */
