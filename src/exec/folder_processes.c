/*-------------------------------------------------------------------------
 *
 * folder_processes.c
 *	  The processes whose working directory is a given folder.
 *
 * All processes of a server have its data directory as their working directory.
 * Only Linux shows it, in /proc.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "storage/fd.h"

#include "exec/folder_processes.h"

/* of 20 */
#define NICENESS 10

#ifdef __linux__

static bool
works_in(pid_t pid, const char *folder)
{
	char link[64];
	char place[PATH_MAX];
	size_t length = strlen(folder);
	ssize_t bytes;

	snprintf(link, sizeof(link), "/proc/%d/cwd", (int) pid);
	bytes = readlink(link, place, sizeof(place) - 1);
	if (bytes <= (ssize_t) length)
		return false;
	place[bytes] = '\0';
	return strncmp(place, folder, length) == 0 && place[length] == '/';
}

static int
visit_processes_in(const char *folder, void (*visit)(pid_t pid))
{
	char real[PATH_MAX];
	struct dirent *entry;
	DIR *processes;
	int visited = 0;

	if (realpath(folder, real) == NULL)
		return 0;
	processes = AllocateDir("/proc");
	while ((entry = ReadDirExtended(processes, "/proc", DEBUG1)) != NULL)
	{
		pid_t pid = (pid_t) strtol(entry->d_name, NULL, 10);

		if (pid <= 1 || !works_in(pid, real))
			continue;
		visit(pid);
		visited++;
	}
	(void) FreeDir(processes);
	return visited;
}

static void
kill_process(pid_t pid)
{
	(void) kill(pid, SIGKILL);
}

/*
 * Linux divides processor time among sessions first, and each process of a
 * server is a session of its own, so its inherited priority has no effect.
 * The kernel accepts one such change in 100 ms; other processes follow at the
 * next call.
 */
static void
yield_process(pid_t pid)
{
	static const char wanted[] = CppAsString2(NICENESS);
	char path[64];
	char now[128];
	const char *place;
	ssize_t length;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/autogroup", (int) pid);
	file = open(path, O_RDWR);
	if (file < 0)
		return;
	length = read(file, now, sizeof(now) - 1);
	now[Max(length, 0)] = '\0';
	place = strstr(now, " nice ");
	if (place != NULL &&
		strtol(place + strlen(" nice "), NULL, 10) < NICENESS &&
		write(file, wanted, strlen(wanted)) < 0)
		elog(DEBUG1, "could not change the priority of process %d: %m",
			 (int) pid);
	(void) close(file);
}

int
kill_processes_in(const char *folder)
{
	return visit_processes_in(folder, kill_process);
}

int
yield_processes_in(const char *folder)
{
	return visit_processes_in(folder, yield_process);
}

#else

int
kill_processes_in(const char *folder)
{
	return 0;
}

int
yield_processes_in(const char *folder)
{
	return 0;
}

#endif
