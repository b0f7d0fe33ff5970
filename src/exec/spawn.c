/*-------------------------------------------------------------------------
 *
 * spawn.c
 *	  Starting another program as a process of its own.
 *
 * The child is in our process group, which the postmaster and
 * pg_cancel_backend() signal as a whole.  A server is apart from it: it ends by
 * a signal that it passes on to its own processes, has a lower priority, and
 * is the first to go where memory runs out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "miscadmin.h"

#include "exec/spawn.h"

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
make_arguments(const char *path, List *arguments)
{
	char **result = palloc(sizeof(char *) * (list_length(arguments) + 2));
	int count = 0;
	ListCell *cell;

	result[count++] = pstrdup(path);
	foreach (cell, arguments)
		result[count++] = lfirst(cell);
	result[count] = NULL;
	return result;
}

/* of 20, and of 1000 */
#define APART_NICENESS 10
#define APART_OOM_SCORE "800"

/*
 * Nothing here is an error where the system refuses it.  What was started with
 * a lower priority than this keeps it.
 */
static void
stand_apart(void)
{
	(void) setsid();
	(void) setpriority(PRIO_PROCESS, 0, APART_NICENESS);
#ifdef __linux__
	{
		int file = open("/proc/self/oom_score_adj", O_WRONLY);

		if (file >= 0)
		{
			ssize_t ignored =
				write(file, APART_OOM_SCORE, strlen(APART_OOM_SCORE));

			(void) ignored;
			(void) close(file);
		}
	}
#endif
}

/*
 * The other process.  There may have been other threads in the one that it is
 * a copy of, so it uses nothing but system calls.
 */
static void
become_program(const Program *program, const int files[STANDARD_FILES],
			   long descriptors)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void) signal(number, SIG_DFL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
#ifdef __linux__
	/* it does not outlive a process that was killed, or has been by now */
	(void) prctl(PR_SET_PDEATHSIG, program->apart ? SIGQUIT : SIGKILL);
	if (getppid() != MyProcPid)
		_exit(127);
#endif
	if (program->apart)
		stand_apart();
	for (int which = 0; which < STANDARD_FILES; which++)
	{
		if (dup2(files[which], which) < 0)
			_exit(127);
	}
#if defined(__linux__) && defined(SYS_close_range)
	if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
		descriptors = 0;
#endif
	for (long fd = 3; fd < descriptors; fd++)
		(void) close((int) fd);
	(void) execve(program->path, program->arguments, program->environment);
	_exit(errno == ENOENT ? 127 : 126);
}

void
prepare_program(Program *program, const char *path, List *arguments,
				List *environment)
{
	program->path = path;
	program->apart = false;
	program->arguments = make_arguments(path, arguments);
	program->environment = make_environment(environment);
}

/*
 * fork() with nothing that could come in between; the files are closed,
 * whatever comes of it.
 */
pid_t
spawn(const Program *program, const int files[STANDARD_FILES])
{
	long descriptors = sysconf(_SC_OPEN_MAX);
	sigset_t all;
	sigset_t previous;
	pid_t pid;
	int reason;

	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &previous);
	pid = fork();
	reason = errno;
	if (pid == 0)
		become_program(program, files, descriptors);
	(void) sigprocmask(SIG_SETMASK, &previous, NULL);
	for (int which = 0; which < STANDARD_FILES; which++)
		(void) close(files[which]);
	errno = reason;
	if (pid < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": %m", program->path)));
	return pid;
}
