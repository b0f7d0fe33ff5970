/*-------------------------------------------------------------------------
 *
 * child.c
 *	  A program that runs beside this process, and the pipes to it.
 *
 * The three pipes are looked after together: whichever of them is waited for,
 * what the child has to say on standard error is read meanwhile, so that it never
 * waits for us while we wait for it.  The waits can be interrupted.
 *
 * The child is in our process group, which the postmaster and
 * pg_cancel_backend() signal as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "exec/child.h"
#include "exec/words.h"

/* as much as Linux lets anybody have; less is no error */
#define PIPE_SIZE 1048576

/* how long a pipe is quiet before the child is looked after, in milliseconds */
#define QUIET 1000

/* the ends of its pipes that are ours; -1 when closed */
enum
{
	CHILD_INPUT,
	CHILD_OUTPUT,
	CHILD_WORDS,
	CHILD_PIPES
};

struct Child
{
	pid_t pid;	/* 0: it is gone, and has been waited for */
	int status; /* of waitpid, then */
	int pipes[CHILD_PIPES];
	int descriptors; /* that were asked of fd.c */
	Words words;
	StringInfo output; /* where its output is gathered, or NULL */
	Child *next;
};

/* of this process; they are not in memory that an abort takes away */
static Child *children = NULL;
static bool registered = false;

static void
close_pipe(Child *child, int which)
{
	if (child->pipes[which] < 0)
		return;
	(void) close(child->pipes[which]);
	child->pipes[which] = -1;
	ReleaseExternalFD();
	child->descriptors--;
}

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
 * Has it ended?  Then there is no process any more that its number means.
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
 * It gets no time to tidy up: what it was doing is not wanted any more, and the
 * server rolls back what it has begun.
 */
void
child_kill(Child *child)
{
	for (int which = 0; which < CHILD_PIPES; which++)
		close_pipe(child, which);
	if (!has_ended(child))
	{
		(void) kill(child->pid, SIGKILL);
		while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
	while (child->descriptors > 0)
	{
		ReleaseExternalFD();
		child->descriptors--;
	}
	forget_child(child);
}

static void
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

/*
 * Neither end gets into other programs.
 */
static bool
make_pipe(int pair[2])
{
	if (pipe(pair) != 0)
		return false;
	for (int i = 0; i < 2; i++)
		(void) fcntl(pair[i], F_SETFD, FD_CLOEXEC);
#ifdef F_SETPIPE_SZ
	(void) fcntl(pair[0], F_SETPIPE_SZ, PIPE_SIZE);
#endif
	return true;
}

/*
 * The ends that are ours do not block.  Of the others none is left open when
 * this fails.
 */
static void
make_pipes(Child *child, const char *program, int ends[CHILD_PIPES])
{
	for (int which = 0; which < CHILD_PIPES; which++)
	{
		int ours = which == CHILD_INPUT ? 1 : 0;
		int pair[2];
		bool acquired = AcquireExternalFD();

		child->descriptors += acquired ? 1 : 0;
		if (!acquired || !make_pipe(pair))
		{
			int reason = errno;

			while (--which >= 0)
				(void) close(ends[which]);
			errno = reason;
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not make a pipe to \"%s\": %m", program)));
		}
		child->pipes[which] = pair[ours];
		ends[which] = pair[1 - ours];
		(void) fcntl(child->pipes[which], F_SETFL, O_NONBLOCK);
	}
}

/*
 * What this process has, but for what is given, as execve() wants it.
 */
static char **
make_environment(List *given)
{
	char **result;
	int count = 0;
	ListCell *cell;

	while (environ[count] != NULL)
		count++;
	result = palloc(sizeof(char *) * (count + list_length(given) + 1));
	count = 0;
	foreach (cell, given)
	{
		if (strchr(lfirst(cell), '=') != NULL)
			result[count++] = lfirst(cell);
	}
	for (char **variable = environ; *variable != NULL; variable++)
	{
		bool replaced = false;

		foreach (cell, given)
		{
			const char *name = lfirst(cell);
			size_t length = strcspn(name, "=");

			replaced |= strncmp(name, *variable, length) == 0 &&
						(*variable)[length] == '=';
		}
		if (!replaced)
			result[count++] = *variable;
	}
	result[count] = NULL;
	return result;
}

static char **
make_arguments(const char *program, List *arguments)
{
	char **result = palloc(sizeof(char *) * (list_length(arguments) + 2));
	int count = 0;
	ListCell *cell;

	result[count++] = pstrdup(program);
	foreach (cell, arguments)
		result[count++] = lfirst(cell);
	result[count] = NULL;
	return result;
}

/*
 * The other process.  There may have been other threads in the one that it is
 * a copy of, so it uses nothing but system calls.
 */
static void
become_program(const char *program, char **arguments, char **environment,
			   const int ends[CHILD_PIPES], long descriptors)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void) signal(number, SIG_DFL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
#ifdef __linux__
	/* it does not outlive a process that was killed, or has been by now */
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != MyProcPid)
		_exit(127);
#endif
	for (int which = 0; which < CHILD_PIPES; which++)
	{
		if (dup2(ends[which], which) < 0)
			_exit(127);
	}
#if defined(__linux__) && defined(SYS_close_range)
	if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
		descriptors = 0;
#endif
	for (long fd = 3; fd < descriptors; fd++)
		(void) close((int) fd);
	(void) execve(program, arguments, environment);
	_exit(errno == ENOENT ? 127 : 126);
}

/*
 * fork() with nothing that could come in between; the pipes' other ends are
 * closed, whatever comes of it.
 */
static void
launch(Child *child, const char *program, char **arguments, char **environment,
	   int ends[CHILD_PIPES])
{
	long descriptors = sysconf(_SC_OPEN_MAX);
	sigset_t all;
	sigset_t previous;

	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &previous);
	child->pid = fork();
	if (child->pid == 0)
		become_program(program, arguments, environment, ends, descriptors);
	(void) sigprocmask(SIG_SETMASK, &previous, NULL);
	for (int which = 0; which < CHILD_PIPES; which++)
		(void) close(ends[which]);
	if (child->pid < 0)
	{
		child->pid = 0;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": %m", program)));
	}
}

Child *
child_start(const char *program, List *arguments, List *environment)
{
	char **argv = make_arguments(program, arguments);
	char **envp = make_environment(environment);
	int ends[CHILD_PIPES];
	Child *child;

	if (!registered)
	{
		RegisterXactCallback(kill_at_end_of_transaction, NULL);
		before_shmem_exit(kill_at_exit, (Datum) 0);
		registered = true;
	}
	child = MemoryContextAllocZero(TopTransactionContext, sizeof(Child));
	for (int which = 0; which < CHILD_PIPES; which++)
		child->pipes[which] = -1;
	child->next = children;
	children = child;

	make_pipes(child, program, ends);
	launch(child, program, argv, envp, ends);
	return child;
}

/*
 * Read from a pipe as far as it goes without waiting; -1: nothing is there now,
 * 0: there will be nothing more.
 */
static ssize_t
read_pipe(Child *child, int which, char *buffer, size_t size)
{
	ssize_t length;

	if (child->pipes[which] < 0)
		return 0;
	do
		length = read(child->pipes[which], buffer, size);
	while (length < 0 && errno == EINTR);
	if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (length <= 0)
		close_pipe(child, which);
	return Max(length, 0);
}

/*
 * Hear what nobody waits for: as much as fits into a pipe, since a child may
 * talk faster than we listen.
 */
static void
listen_to_child(Child *child)
{
	char buffer[8192];
	ssize_t length;

	for (size_t heard = 0; heard < PIPE_SIZE; heard += (size_t) length)
	{
		length = read_pipe(child, CHILD_WORDS, buffer, sizeof(buffer));
		if (length <= 0)
			break;
		keep_words(&child->words, buffer, (size_t) length);
	}
	for (size_t heard = 0; child->output != NULL && heard < PIPE_SIZE;
		 heard += (size_t) length)
	{
		length = read_pipe(child, CHILD_OUTPUT, buffer, sizeof(buffer));
		if (length <= 0)
			break;
		appendBinaryStringInfo(child->output, buffer, (int) length);
	}
}

/*
 * Wait until something can be done with the pipe, or some time has passed;
 * what is said on standard error is heard meanwhile.
 */
static void
wait_for_child(Child *child, int which, long timeout)
{
	WaitEventSet *events;
	WaitEvent event;

	CHECK_FOR_INTERRUPTS();
	/* nothing that we know of the catalogs holds back a VACUUM meanwhile */
	InvalidateCatalogSnapshotConditionally();
	events = create_wait_event_set(CHILD_PIPES + 2);
	PG_TRY();
	{
		AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
						  NULL);
		AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		if (which >= 0 && child->pipes[which] >= 0)
			AddWaitEventToSet(events,
							  which == CHILD_INPUT ? WL_SOCKET_WRITEABLE
												   : WL_SOCKET_READABLE,
							  child->pipes[which], NULL, NULL);
		for (int heard = CHILD_OUTPUT; heard <= CHILD_WORDS; heard++)
		{
			if (heard != which && child->pipes[heard] >= 0 &&
				(heard == CHILD_WORDS || child->output != NULL))
				AddWaitEventToSet(events, WL_SOCKET_READABLE,
								  child->pipes[heard], NULL, NULL);
		}
		(void) WaitEventSetWait(events, timeout, &event, 1, PG_WAIT_EXTENSION);
	}
	PG_FINALLY();
	{
		FreeWaitEventSet(events);
	}
	PG_END_TRY();
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	listen_to_child(child);
}

/*
 * What a child has started may keep its pipes open; what counts is what it has
 * written itself until it ended.
 */
size_t
child_read(Child *child, char *buffer, size_t size)
{
	ssize_t length;

	CHECK_FOR_INTERRUPTS();
	while ((length = read_pipe(child, CHILD_OUTPUT, buffer, size)) < 0)
	{
		if (!has_ended(child))
			wait_for_child(child, CHILD_OUTPUT, QUIET);
		else if ((length = read_pipe(child, CHILD_OUTPUT, buffer, size)) >= 0)
			break;
		else
			close_pipe(child, CHILD_OUTPUT);
	}
	return (size_t) length;
}

bool
child_write(Child *child, const char *data, size_t length)
{
	CHECK_FOR_INTERRUPTS();
	while (length > 0 && child->pipes[CHILD_INPUT] >= 0)
	{
		ssize_t written = write(child->pipes[CHILD_INPUT], data, length);

		if (written >= 0)
		{
			data += written;
			length -= (size_t) written;
		}
		else if (errno == EINTR)
			continue;
		else if ((errno == EAGAIN || errno == EWOULDBLOCK) &&
				 !has_ended(child))
			wait_for_child(child, CHILD_INPUT, QUIET);
		else
			close_pipe(child, CHILD_INPUT);
	}
	return length == 0;
}

void
child_gather(Child *child, StringInfo output)
{
	child->output = output;
}

/*
 * A program that has closed its pipes is about to end, so it is asked at short
 * intervals.
 */
void
child_wait(Child *child, ChildEnd *end)
{
	StringInfo unwanted = makeStringInfo();

	close_pipe(child, CHILD_INPUT);
	if (child->output == NULL)
		child->output = unwanted;
	while (child->pipes[CHILD_OUTPUT] >= 0 && !has_ended(child))
	{
		wait_for_child(child, CHILD_OUTPUT, QUIET);
		resetStringInfo(unwanted);
	}
	while (child->pipes[CHILD_WORDS] >= 0 && !has_ended(child))
		wait_for_child(child, -1, 100);
	while (!has_ended(child))
		wait_for_child(child, -1, 10);
	listen_to_child(child);
	/* what has ended it may have been meant for us, too */
	CHECK_FOR_INTERRUPTS();

	end->succeeded =
		WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
	end->status =
		WIFEXITED(child->status)
			? psprintf("exited with code %d", WEXITSTATUS(child->status))
			: psprintf("was ended by signal %d", WTERMSIG(child->status));
	end->words = words_text(&child->words);
	child_kill(child);
}
