/*-------------------------------------------------------------------------
 *
 * toplevel.h
 *	  Commands that PostgreSQL allows at top level only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_TOPLEVEL_H
#define PGMAINT_TOPLEVEL_H

extern void execute_at_top_level(const char *command);

#endif /* PGMAINT_TOPLEVEL_H */
