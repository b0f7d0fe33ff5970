/*-------------------------------------------------------------------------
 *
 * trusted.h
 *	  Working with rights that nobody else's functions may get hold of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TRUSTED_H
#define PGMAINT_TRUSTED_H

extern void with_trusted_functions(void (*work)(void *argument),
								   void *argument);

#endif /* PGMAINT_TRUSTED_H */
