/*-------------------------------------------------------------------------
 *
 * child_pipes.h
 *	  The pipes to a child process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CHILD_PIPES_H
#define PGMAINT_CHILD_PIPES_H

#include "lib/stringinfo.h"

#include "exec/spawn.h"
#include "exec/stderr_capture.h"

/* in the order of the child's standard files */
typedef enum ChildPipe
{
	NO_PIPE = -1,
	INPUT_PIPE,
	OUTPUT_PIPE,
	WORDS_PIPE
} ChildPipe;

typedef struct ChildPipes
{
	int ends[STANDARD_FILES]; /* that are ours; -1 when closed */
	int descriptors;		  /* that were asked of fd.c */
	StderrCapture capture;
	StringInfo output; /* where its output is gathered, or NULL */
} ChildPipes;

/* none is open */
extern void clear_pipes(ChildPipes *pipes);

/* files: the child's ends; none of them is left open when this fails */
extern void open_pipes(ChildPipes *pipes, const char *program,
					   int files[STANDARD_FILES]);

extern bool pipe_is_open(const ChildPipes *pipes, ChildPipe which);
extern void close_pipe(ChildPipes *pipes, ChildPipe which);
extern void close_pipes(ChildPipes *pipes);

/* as far as it goes without waiting; -1: not now, 0: there will be no more */
extern ssize_t read_pipe(ChildPipes *pipes, ChildPipe which, char *buffer,
						 size_t size);
extern ssize_t write_pipe(ChildPipes *pipes, const char *data, size_t length);

/*
 * waits for the pipe, or so many milliseconds; reads the other output
 * meanwhile
 */
extern void wait_for_pipe(ChildPipes *pipes, ChildPipe which, long timeout);
extern void read_pipes(ChildPipes *pipes);

#endif /* PGMAINT_CHILD_PIPES_H */
