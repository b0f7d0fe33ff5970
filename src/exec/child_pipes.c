/*-------------------------------------------------------------------------
 *
 * child_pipes.c
 *	  The pipes to a child process.
 *
 * While this process waits for any of the three pipes, it reads the child's
 * standard error, so that parent and child never wait for each other.  The waits
 * can be interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "exec/child_pipes.h"

/*
 * the largest size that Linux grants unprivileged users; a smaller pipe is no
 * error
 */
#define PIPE_SIZE 1048576

void
clear_pipes(ChildPipes *pipes)
{
	for (int which = 0; which < STANDARD_FILES; which++)
		pipes->ends[which] = -1;
}

bool
pipe_is_open(const ChildPipes *pipes, ChildPipe which)
{
	return pipes->ends[which] >= 0;
}

void
close_pipe(ChildPipes *pipes, ChildPipe which)
{
	if (!pipe_is_open(pipes, which))
		return;
	(void) close(pipes->ends[which]);
	pipes->ends[which] = -1;
	ReleaseExternalFD();
	pipes->descriptors--;
}

/*
 * Close the pipes, in any state that a failure to open them may have left.
 */
void
close_pipes(ChildPipes *pipes)
{
	for (int which = 0; which < STANDARD_FILES; which++)
		close_pipe(pipes, which);
	while (pipes->descriptors > 0)
	{
		ReleaseExternalFD();
		pipes->descriptors--;
	}
}

/*
 * Create a pipe of which other programs inherit neither end.
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
 * The parent's ends do not block.
 */
void
open_pipes(ChildPipes *pipes, const char *program, int files[STANDARD_FILES])
{
	for (int which = 0; which < STANDARD_FILES; which++)
	{
		int ours = which == INPUT_PIPE ? 1 : 0;
		int pair[2];
		bool acquired = AcquireExternalFD();

		pipes->descriptors += acquired ? 1 : 0;
		if (!acquired || !make_pipe(pair))
		{
			int reason = errno;

			while (--which >= 0)
				(void) close(files[which]);
			errno = reason;
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
							errmsg("could not create a pipe to \"%s\": %m",
								   program)));
		}
		pipes->ends[which] = pair[ours];
		files[which] = pair[1 - ours];
		(void) fcntl(pipes->ends[which], F_SETFL, O_NONBLOCK);
	}
}

ssize_t
read_pipe(ChildPipes *pipes, ChildPipe which, char *buffer, size_t size)
{
	ssize_t length;

	if (!pipe_is_open(pipes, which))
		return 0;
	do
		length = read(pipes->ends[which], buffer, size);
	while (length < 0 && errno == EINTR);
	if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (length <= 0)
		close_pipe(pipes, which);
	return Max(length, 0);
}

/*
 * Write to the child's standard input.
 */
ssize_t
write_pipe(ChildPipes *pipes, const char *data, size_t length)
{
	ssize_t written;

	if (!pipe_is_open(pipes, INPUT_PIPE))
		return 0;
	do
		written = write(pipes->ends[INPUT_PIPE], data, length);
	while (written < 0 && errno == EINTR);
	if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (written < 0)
		close_pipe(pipes, INPUT_PIPE);
	return Max(written, 0);
}

/*
 * Read standard error, and the other output that is collected: as much as fits
 * into a pipe, since a child may write faster than this process reads.
 */
void
read_pipes(ChildPipes *pipes)
{
	char buffer[8192];
	ssize_t length;

	for (size_t heard = 0; heard < PIPE_SIZE; heard += (size_t) length)
	{
		length = read_pipe(pipes, WORDS_PIPE, buffer, sizeof(buffer));
		if (length <= 0)
			break;
		capture_stderr(&pipes->capture, buffer, (size_t) length);
	}
	for (size_t heard = 0; pipes->output != NULL && heard < PIPE_SIZE;
		 heard += (size_t) length)
	{
		length = read_pipe(pipes, OUTPUT_PIPE, buffer, sizeof(buffer));
		if (length <= 0)
			break;
		appendBinaryStringInfo(pipes->output, buffer, (int) length);
	}
}

/*
 * Wait until the pipe is ready, or some time has passed; standard error is
 * read meanwhile.
 */
void
wait_for_pipe(ChildPipes *pipes, ChildPipe which, long timeout)
{
	WaitEventSet *events;
	WaitEvent event;

	CHECK_FOR_INTERRUPTS();
	/* release the catalog snapshot, which would hold back VACUUM meanwhile */
	InvalidateCatalogSnapshotConditionally();
	events = create_wait_event_set(STANDARD_FILES + 2);
	PG_TRY();
	{
		AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
						  NULL);
		AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		if (which != NO_PIPE && pipe_is_open(pipes, which))
			AddWaitEventToSet(events,
							  which == INPUT_PIPE ? WL_SOCKET_WRITEABLE
												  : WL_SOCKET_READABLE,
							  pipes->ends[which], NULL, NULL);
		for (int heard = OUTPUT_PIPE; heard <= WORDS_PIPE; heard++)
		{
			if (heard != which && pipe_is_open(pipes, heard) &&
				(heard == WORDS_PIPE || pipes->output != NULL))
				AddWaitEventToSet(events, WL_SOCKET_READABLE,
								  pipes->ends[heard], NULL, NULL);
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
	read_pipes(pipes);
}
