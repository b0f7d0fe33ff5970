/*-------------------------------------------------------------------------
 *
 * spawn.h
 *	  Starting another program as a process of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SPAWN_H
#define PGMAINT_SPAWN_H

#include "nodes/pg_list.h"

/* what execve() wants to know */
typedef struct Program
{
	const char *path;
	char **arguments;
	char **environment;
	bool apart; /* a server of its own: see spawn.c */
} Program;

/* its input, its output and its standard error */
#define STANDARD_FILES 3

/* from lists as child_start() takes them */
extern void prepare_program(Program *program, const char *path,
							List *arguments, List *environment);

/* the files are the child's from then on, and closed here */
extern pid_t spawn(const Program *program, const int files[STANDARD_FILES]);

#endif /* PGMAINT_SPAWN_H */
