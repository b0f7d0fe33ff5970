/*-------------------------------------------------------------------------
 *
 * recover.h
 *	  Recovery from an ERROR, outside of any transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_RECOVER_H
#define PGMAINT_RECOVER_H

/* for PG_CATCH; the second one leaves the ERROR out of the server's log */
extern ErrorData *recover_from_error(MemoryContext caller);
extern ErrorData *recover_silently(MemoryContext caller);

#endif /* PGMAINT_RECOVER_H */
