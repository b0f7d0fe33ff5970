/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  What may fail without taking the rest with it.
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

/* is it no answer, but the end: somebody has cancelled it, or the server stops? */
extern bool asks_to_stop(const ErrorData *error);

#endif /* PGMAINT_SUBTRANSACTION_H */
