/*-------------------------------------------------------------------------
 *
 * sample_indexes.h
 *	  Measurements of indexes before a rebuild.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SAMPLE_INDEXES_H
#define PGMAINT_SAMPLE_INDEXES_H

#include "action/action.h"

extern HoldBack confirm_bloat(Oid indexid, char **reason, double threshold,
							  double max_margin);

#endif /* PGMAINT_SAMPLE_INDEXES_H */
