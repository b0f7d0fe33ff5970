/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  Blocks of a relation, read as quickly as the storage gives them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_READER_H
#define PGMAINT_BLOAT_READER_H

#include "storage/bufmgr.h"
#include "utils/rel.h"

typedef void (*BlockReader)(Buffer buffer, void *context);

extern void read_blocks(Relation rel, const BlockNumber *blocks,
						BlockNumber nblocks, BufferAccessStrategy strategy,
						BlockReader reader, void *context);

#endif /* PGMAINT_BLOAT_READER_H */
