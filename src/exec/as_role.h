/*-------------------------------------------------------------------------
 *
 * as_role.h
 *	  Work as another role, without lasting effects.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_AS_ROLE_H
#define PGMAINT_AS_ROLE_H

/*
 * returns the error of the work, or NULL; the caller checks whether it may do
 * this
 */
extern char *try_as_role(Oid role, const char *search_path,
						 void (*work)(void *argument), void *argument);

/* during that work: continue as a third role */
extern void become_restricted(Oid role);

#endif /* PGMAINT_AS_ROLE_H */
