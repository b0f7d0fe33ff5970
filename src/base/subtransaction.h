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
extern ErrorData *try_and_undo(void (*work)(void *argument), void *argument);

#endif /* PGMAINT_SUBTRANSACTION_H */
