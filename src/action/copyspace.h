/*-------------------------------------------------------------------------
 *
 * copyspace.h
 *	  Disk space for a copy of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_COPYSPACE_H
#define PGMAINT_COPYSPACE_H

#include "bloat/table_bloat.h"
#include "ledger/ledger.h"

extern char *describe_want_of_space(const TableBloat *bloat, int64 min_free);

#endif /* PGMAINT_COPYSPACE_H */
