/*-------------------------------------------------------------------------
 *
 * child.h
 *	  A program that runs beside this process.
 *
 * The room exec: programs beside this process, servers of our own, commands
 * at top level, and statements planned as another role.
 *
 * Whatever it may have in mind, a child ends with the transaction that it was
 * started in, and with this process.
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
	char *status;	/* "exited with code 1", "was ended by signal 9" */
	char *words;	/* what it said on standard error; "" for nothing */
} ChildEnd;

/*
 * arguments: texts, without the program's name.  environment: texts like
 * "NAME=value", which go before what this process has; "NAME" alone takes NAME
 * away.  Of what it writes to standard error the beginning and the end are kept.
 */
extern Child *child_start(const char *path, List *arguments,
						  List *environment);

/* what it writes to standard output; 0: there will be no more */
extern size_t child_read(Child *child, char *buffer, size_t size);

/* instead of that: as it comes, while anything else is waited for */
extern void child_gather(Child *child, StringInfo output);

/* to its standard input; false: it does not read any more */
extern bool child_write(Child *child, const char *data, size_t length);

/* closes its input, waits for its end; output that is not gathered is lost */
extern void child_wait(Child *child, ChildEnd *end);

/*
 * Called about once a second while any child is read from, written to or waited
 * for; may raise an ERROR.  NULL: nothing more is to be watched.
 */
extern void watch_children(void (*watch)(void));

/* end one, or all, at once; safe to call in any state of this process */
extern void child_kill(Child *child);
extern void kill_children(void);

#endif /* PGMAINT_CHILD_H */
