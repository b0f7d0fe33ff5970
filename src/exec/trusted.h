/*-------------------------------------------------------------------------
 *
 * trusted.h
 *	  Protects work with rights from functions of other roles.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TRUSTED_H
#define PGMAINT_TRUSTED_H

extern void with_trusted_functions(void (*work)(void *argument),
								   void *argument);

#endif /* PGMAINT_TRUSTED_H */
