/*-------------------------------------------------------------------------
 *
 * spawn.c
 *	  Starts a program as another process.
 *
 * The child is in the process group of this process, to which the postmaster and
 * pg_cancel_backend() send signals.  A server is not: it ends by a signal that
 * it passes on to its own processes, has a lower priority, and is the first that
 * the out-of-memory killer ends.
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
 * The environment of this process and the given variables, in the format of
 * execve().
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
 * The system may refuse each of these calls, which is no error.  A process
 * that was started with a lower priority keeps it.
 */
static void
separate_process(void)
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
 * The child process.  The parent may have had other threads, so the child uses
 * system calls only.
 */
static void
execute_program(const Program *program, const int files[STANDARD_FILES],
				long descriptors)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void) signal(number, SIG_DFL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
#ifdef __linux__
	/* end with the parent, which may have ended already */
	(void) prctl(PR_SET_PDEATHSIG, program->apart ? SIGQUIT : SIGKILL);
	if (getppid() != MyProcPid)
		_exit(127);
#endif
	if (program->apart)
		separate_process();
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
 * fork() without anything in between; the files are closed also after a
 * failure.
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
		execute_program(program, files, descriptors);
	(void) sigprocmask(SIG_SETMASK, &previous, NULL);
	for (int which = 0; which < STANDARD_FILES; which++)
		(void) close(files[which]);
	errno = reason;
	if (pid < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": %m", program->path)));
	return pid;
}
