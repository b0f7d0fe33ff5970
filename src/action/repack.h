/*-------------------------------------------------------------------------
 *
 * repack.h
 *	  REPACK (CONCURRENTLY), and the backups that it must not meet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_REPACK_H
#define PGMAINT_REPACK_H

#include "action/action.h"

/* what nobody can prevent, for options and reasons */
#define REPACK_WARNING                                                       \
	"a transaction whose snapshot is older than its end, such as a pg_dump " \
	"that others have started, reads the table as empty, without an error; " \
	"only backups of pgmaint are kept out"

extern bool server_can_repack(void);
extern bool is_repack(const ClaimedTask *task);

/* in a ledger scope: why it must not begin now, or NULL */
extern char *name_backups_in_progress(void);

/* the command of a task, REPACK or another, outside of any transaction */
extern void execute_rewrite(TaskContext *context);
extern void note_repack(TaskContext *context);

/* in a transaction: until its end no REPACK of pgmaint's begins; may wait */
extern void keep_out_repack(const char *database);

#endif /* PGMAINT_REPACK_H */
