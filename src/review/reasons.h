/*-------------------------------------------------------------------------
 *
 * reasons.h
 *	  The reasons why queries have no plan, as JSON and for a report.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REASONS_H
#define PGMAINT_REASONS_H

#include "nodes/pg_list.h"

/* of a list of texts */
extern char *count_reasons(List *reasons);
extern char *remarks_on_reasons(List *reasons);

#endif /* PGMAINT_REASONS_H */
