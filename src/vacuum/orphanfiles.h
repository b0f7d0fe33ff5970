/*-------------------------------------------------------------------------
 *
 * orphanfiles.h
 *	  Files that a crash during VACUUM FULL has left on disk.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_ORPHANFILES_H
#define PGMAINT_ORPHANFILES_H

#include "action/action.h"

/* in a ledger scope */
extern void report_orphaned_files(PlanContext *context);

#endif /* PGMAINT_ORPHANFILES_H */
