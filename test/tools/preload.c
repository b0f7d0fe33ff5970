/*
 * Preloaded before libfaketime, to make it fit a PostgreSQL server:
 *
 * Its select() turns the other clock off for as long as it waits.  Before
 * PostgreSQL 16 the postmaster waits there, and starts background workers from a
 * signal handler meanwhile: they would have the real time for ever.
 *
 * Each program that is started with it leaves a semaphore and shared memory
 * behind.  So the server starts others without it, and removes the names of
 * those that it shares with pg_ctl, which started it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>

extern int __select(int nfds, fd_set *readfds, fd_set *writefds,
					fd_set *exceptfds, struct timeval *timeout);

int
select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds,
	   struct timeval *timeout)
{
	return __select(nfds, readfds, writefds, exceptfds, timeout);
}

__attribute__((constructor)) static void
leave_nothing_behind(void)
{
	const char *names = getenv("FAKETIME_SHARED");
	char semaphore[256];
	char memory[256];

	if (strcmp(program_invocation_short_name, "postgres") != 0)
		return;
	if (names != NULL && sscanf(names, "%255s %255s", semaphore, memory) == 2)
	{
		sem_unlink(semaphore);
		shm_unlink(memory);
	}
	unsetenv("LD_PRELOAD");
}
