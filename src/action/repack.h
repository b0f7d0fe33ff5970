/*-------------------------------------------------------------------------
 *
 * repack.h
 *	  REPACK (CONCURRENTLY), and its exclusion of backups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REPACK_H
#define PGMAINT_REPACK_H

#include "action/action.h"

/* the remaining danger, for options and reasons */
#define REPACK_WARNING                                                      \
	"a transaction with a snapshot from before its end, such as a pg_dump " \
	"started without pgmaint, reads the table as empty, without an error; " \
	"pgmaint's own backups wait"

extern bool server_can_repack(void);
extern bool is_repack(const ClaimedTask *task);

/* in a ledger scope: why REPACK must not begin now, or NULL */
extern char *name_backups_in_progress(void);

/*
 * executes the command of a task, REPACK or another, outside of any
 * transaction
 */
extern void execute_rewrite(TaskContext *context);
extern void note_repack(TaskContext *context);

/* in a transaction: until its end no REPACK of pgmaint begins; may wait */
extern void keep_out_repack(const char *database);

#endif /* PGMAINT_REPACK_H */
