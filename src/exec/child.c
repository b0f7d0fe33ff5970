/*-------------------------------------------------------------------------
 *
 * child.c
 *	  A program that runs as a child of this process.
 *
 * All children are in a list, so that the end of a transaction, or of this
 * process, can end them, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "exec/child.h"
#include "exec/child_pipes.h"

/*
 * how long a pipe is quiet before the child's state is checked, in
 * milliseconds
 */
#define QUIET 1000

struct Child
{
	pid_t pid;	/* 0: the child has ended, and was waited for */
	int status; /* of waitpid, then */
	ChildPipes pipes;
	Child *next;
};

/* of this process; they are not in memory that an abort takes away */
static Child *children = NULL;
static bool registered = false;

/* what is to be looked at meanwhile, and when it was */
static void (*watching)(void) = NULL;
static TimestampTz watched_at = 0;

static void
forget_child(Child *child)
{
	for (Child **link = &children; *link != NULL; link = &(*link)->next)
	{
		if (*link == child)
		{
			*link = child->next;
			return;
		}
	}
}

/*
 * Has the child ended?  Then its process ID may belong to another process.
 */
static bool
has_ended(Child *child)
{
	pid_t pid;

	if (child->pid == 0)
		return true;
	do
		pid = waitpid(child->pid, &child->status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	child->pid = 0;
	return true;
}

/*
 * The child gets no time to clean up: its work is no longer needed, and the
 * server rolls back its transactions.
 */
void
child_kill(Child *child)
{
	close_pipes(&child->pipes);
	if (!has_ended(child))
	{
		(void) kill(child->pid, SIGKILL);
		while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
	forget_child(child);
}

void
kill_children(void)
{
	while (children != NULL)
		child_kill(children);
}

static void
kill_at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		kill_children();
}

static void
kill_at_exit(int code, Datum arg)
{
	kill_children();
}

Child *
child_start(const char *path, List *arguments, List *environment)
{
	Program program;
	int files[STANDARD_FILES];
	Child *child;

	prepare_program(&program, path, arguments, environment);
	if (!registered)
	{
		RegisterXactCallback(kill_at_end_of_transaction, NULL);
		before_shmem_exit(kill_at_exit, (Datum) 0);
		registered = true;
	}
	child = MemoryContextAllocZero(TopTransactionContext, sizeof(Child));
	clear_pipes(&child->pipes);
	child->next = children;
	children = child;

	open_pipes(&child->pipes, path, files);
	child->pid = spawn(&program, files);
	return child;
}

void
watch_children(void (*watch)(void))
{
	watching = watch;
	watched_at = 0;
}

/*
 * Check for interrupts before calling the watch function, which may raise
 * another ERROR.
 */
static void
handle_interrupts(void)
{
	TimestampTz now;

	CHECK_FOR_INTERRUPTS();
	if (watching == NULL)
		return;
	now = GetCurrentTimestamp();
	/* a clock that was set back holds up nothing */
	if (now >= watched_at &&
		!TimestampDifferenceExceeds(watched_at, now, QUIET))
		return;
	watched_at = now;
	watching();
}

/*
 * Processes that the child has started may keep its pipes open; only what the
 * child itself wrote until its end counts.
 */
size_t
child_read(Child *child, char *buffer, size_t size)
{
	ChildPipes *pipes = &child->pipes;

	for (;;)
	{
		ssize_t length;

		handle_interrupts();
		length = read_pipe(pipes, OUTPUT_PIPE, buffer, size);
		if (length >= 0)
			return (size_t) length;
		if (!has_ended(child))
			wait_for_pipe(pipes, OUTPUT_PIPE, QUIET);
		else if ((length = read_pipe(pipes, OUTPUT_PIPE, buffer, size)) >= 0)
			return (size_t) length;
		else
			close_pipe(pipes, OUTPUT_PIPE);
	}
}

bool
child_write(Child *child, const char *data, size_t length)
{
	ChildPipes *pipes = &child->pipes;

	while (length > 0 && pipe_is_open(pipes, INPUT_PIPE))
	{
		ssize_t written;

		handle_interrupts();
		written = write_pipe(pipes, data, length);
		if (written >= 0)
		{
			data += written;
			length -= (size_t) written;
		}
		else if (!has_ended(child))
			wait_for_pipe(pipes, INPUT_PIPE, QUIET);
		else
			close_pipe(pipes, INPUT_PIPE);
	}
	return length == 0;
}

void
child_gather(Child *child, StringInfo output)
{
	child->pipes.output = output;
}

/*
 * A program that has closed its pipes is about to end, so poll at short
 * intervals.
 */
void
child_wait(Child *child, ChildEnd *end)
{
	ChildPipes *pipes = &child->pipes;
	StringInfo unwanted = makeStringInfo();

	close_pipe(pipes, INPUT_PIPE);
	if (pipes->output == NULL)
		pipes->output = unwanted;
	while (pipe_is_open(pipes, OUTPUT_PIPE) && !has_ended(child))
	{
		handle_interrupts();
		wait_for_pipe(pipes, OUTPUT_PIPE, QUIET);
		resetStringInfo(unwanted);
	}
	while (pipe_is_open(pipes, WORDS_PIPE) && !has_ended(child))
	{
		handle_interrupts();
		wait_for_pipe(pipes, NO_PIPE, 100);
	}
	while (!has_ended(child))
	{
		handle_interrupts();
		wait_for_pipe(pipes, NO_PIPE, 10);
	}
	read_pipes(pipes);
	/*
	 * the signal that ended the child may have been sent to this process, too
	 */
	CHECK_FOR_INTERRUPTS();

	end->succeeded =
		WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
	end->status =
		WIFEXITED(child->status)
			? psprintf("exited with code %d", WEXITSTATUS(child->status))
			: psprintf("was terminated by signal %d", WTERMSIG(child->status));
	end->words = captured_text(&pipes->capture);
	child_kill(child);
}
