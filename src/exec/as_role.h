/*-------------------------------------------------------------------------
 *
 * as_role.h
 *	  Working as another role, without leaving anything behind.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_AS_ROLE_H
#define PGMAINT_AS_ROLE_H

/* why it could not be done, or NULL; whether the caller may, is its own matter */
extern char *try_as_role(Oid role, const char *search_path,
						 void (*work)(void *argument), void *argument);

/* during that work: go on as yet another role */
extern void become_restricted(Oid role);

#endif /* PGMAINT_AS_ROLE_H */
