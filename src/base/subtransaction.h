/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Work in subtransactions, whose failure does not abort the transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SUBTRANSACTION_H
#define PGMAINT_SUBTRANSACTION_H

extern ErrorData *try_in_subtransaction(void (*work)(void *argument),
										void *argument);
extern ErrorData *try_unless_stopped(void (*work)(void *argument),
									 void *argument);
extern ErrorData *try_and_undo(void (*work)(void *argument), void *argument);

/* does the ERROR come from a cancel or a shutdown of the server? */
extern bool asks_to_stop(const ErrorData *error);

#endif /* PGMAINT_SUBTRANSACTION_H */
