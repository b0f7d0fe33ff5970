/*-------------------------------------------------------------------------
 *
 * spawn.h
 *	  Starts a program as another process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_SPAWN_H
#define PGMAINT_SPAWN_H

#include "nodes/pg_list.h"

/* arguments of execve() */
typedef struct Program
{
	const char *path;
	char **arguments;
	char **environment;
	bool apart; /* a private server: see spawn.c */
} Program;

/* its input, its output and its standard error */
#define STANDARD_FILES 3

/* from lists as child_start() takes them */
extern void prepare_program(Program *program, const char *path,
							List *arguments, List *environment);

/* the files belong to the child from then on, and are closed here */
extern pid_t spawn(const Program *program, const int files[STANDARD_FILES]);

#endif /* PGMAINT_SPAWN_H */
