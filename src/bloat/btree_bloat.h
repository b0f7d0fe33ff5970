/*-------------------------------------------------------------------------
 *
 * btree_bloat.h
 *	  How much smaller a B-tree would be after a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_BLOAT_BTREE_BLOAT_H
#define PGMAINT_BLOAT_BTREE_BLOAT_H

#include "utils/rel.h"

#include "bloat/sample.h"

/* returns the blocks after a rebuild */
extern double measure_btree(BlockSample *sample, Relation index,
							Relation table, bool *has_density,
							double *leaf_density);

#endif /* PGMAINT_BLOAT_BTREE_BLOAT_H */
