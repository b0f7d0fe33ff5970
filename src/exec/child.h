/*-------------------------------------------------------------------------
 *
 * child.h
 *	  A program that runs as a child of this process.
 *
 * The room exec: programs beside this process, private servers, commands at top
 * level, and statements planned as another role.
 *
 * A child ends with the transaction in which it was started, and with this
 * process.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_CHILD_H
#define PGMAINT_CHILD_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

typedef struct Child Child;

/* how it ended */
typedef struct ChildEnd
{
	bool succeeded; /* it exited with 0 */
	char *status;	/* "exited with code 1", "was terminated by signal 9" */
	char *words;	/* its standard error; "" if empty */
} ChildEnd;

/*
 * arguments: texts, without the program's name.  environment: texts such as
 * "NAME=value", which override the environment of this process; "NAME" alone
 * removes NAME.  The beginning and the end of standard error are kept.
 */
extern Child *child_start(const char *path, List *arguments,
						  List *environment);

/* reads its standard output; 0: end of output */
extern size_t child_read(Child *child, char *buffer, size_t size);

/* alternatively, collects its standard output during all other waits */
extern void child_gather(Child *child, StringInfo output);

/* writes to its standard input; false: the child has closed it */
extern bool child_write(Child *child, const char *data, size_t length);

/* closes its input, waits for its end; output that is not collected is lost */
extern void child_wait(Child *child, ChildEnd *end);

/*
 * The function is called about once a second while any child is read from,
 * written to or waited for; it may raise an ERROR.  NULL: no function.
 */
extern void watch_children(void (*watch)(void));

/* end one child, or all, at once; safe in any state of this process */
extern void child_kill(Child *child);
extern void kill_children(void);

#endif /* PGMAINT_CHILD_H */
