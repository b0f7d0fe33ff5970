/*-------------------------------------------------------------------------
 *
 * remains.c
 *	  The removal of a private server that is left over.
 *
 * The process that started the server may have ended, and the machine may have
 * restarted: a process ID in postmaster.pid belongs to the server only if a
 * server answers on the socket in the folder.  A postmaster that was killed
 * leaves its other processes; one in an endless loop does not notice.  These are
 * recognized by their working directory, which has a random name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/pidfile.h"

#include "exec/folder_processes.h"
#include "exec/remains.h"

/* between two looks at a server that stops, in milliseconds */
#define STOP_PAUSE 20

/* how long an immediate shutdown may take, in milliseconds */
#define STOP_TIMEOUT 10000

/* more is no number of a process, nor what a line says */
#define LINE_BYTES 256

/*
 * A line of postmaster.pid, counted from 1, without its end; false where there
 * is none.
 */
static bool
read_pid_file(const char *folder, int wanted, char line[LINE_BYTES])
{
	char path[MAXPGPATH];
	FILE *file;
	bool found = true;

	snprintf(path, sizeof(path), "%s/data/postmaster.pid", folder);
	file = AllocateFile(path, "r");
	if (file == NULL)
		return false;
	for (int number = 1; number <= wanted && found; number++)
		found = fgets(line, LINE_BYTES, file) != NULL;
	(void) FreeFile(file);
	return found;
}

static pid_t
pid_in_file(const char *folder)
{
	char line[LINE_BYTES];

	if (!read_pid_file(folder, LOCK_FILE_LINE_PID, line))
		return 0;
	return (pid_t) strtol(line, NULL, 10);
}

/*
 * A postmaster that was killed leaves its file, which still says "ready".
 */
bool
postmaster_is_ready(const char *folder, pid_t pid)
{
	char line[LINE_BYTES];

	return pid_in_file(folder) == pid &&
		   read_pid_file(folder, LOCK_FILE_LINE_PM_STATUS, line) &&
		   strncmp(line, PM_STATUS_READY, strlen(PM_STATUS_READY)) == 0;
}

static bool
server_listens(const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(address.sun_path, sizeof(address.sun_path),
						  "%s/.s.PGSQL.5432", folder);
	int descriptor;
	bool answered;

	if (length < 0 || length >= (int) sizeof(address.sun_path))
		return false;
	descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
	if (descriptor < 0)
		return false;
	answered = connect(descriptor, (struct sockaddr *) &address,
					   sizeof(address)) == 0;
	(void) close(descriptor);
	return answered;
}

/*
 * The postmaster gets the time to end its own processes, and to free its
 * memory.
 */
static void
stop_postmaster(const char *folder)
{
	pid_t pid = pid_in_file(folder);

	if (pid <= 1 || !server_listens(folder))
		return;
	(void) kill(pid, SIGQUIT);
	for (int waited = 0;
		 waited < STOP_TIMEOUT && server_listens(folder) && kill(pid, 0) == 0;
		 waited += STOP_PAUSE)
		pg_usleep(STOP_PAUSE * 1000L);
	if (server_listens(folder))
		(void) kill(pid, SIGKILL);
}

/*
 * A postmaster that was killed leaves its shared memory segment.  Its number
 * may belong to another segment by now, unless the same process created it.
 */
static void
remove_shared_memory(const char *folder)
{
	char line[LINE_BYTES];
	struct shmid_ds state;
	const char *number;
	int segment;

	if (!read_pid_file(folder, LOCK_FILE_LINE_SHMEM_KEY, line))
		return;
	/* the key, and then the number */
	number = line + strspn(line, " ");
	number += strcspn(number, " ");
	if (*number == '\0')
		return;
	segment = (int) strtol(number, NULL, 10);
	if (shmctl(segment, IPC_STAT, &state) != 0)
		return;
	if (state.shm_nattch == 0 && state.shm_perm.cuid == geteuid() &&
		state.shm_cpid == pid_in_file(folder))
		(void) shmctl(segment, IPC_RMID, NULL);
}

/*
 * A process that was killed may still write for a moment.
 */
static void
end_processes(const char *folder)
{
	stop_postmaster(folder);
	for (int waited = 0;
		 waited < STOP_TIMEOUT && kill_processes_in(folder) > 0;
		 waited += STOP_PAUSE)
		pg_usleep(STOP_PAUSE * 1000L);
	remove_shared_memory(folder);
}

bool
remove_remains(const char *folder)
{
	struct stat state;

	if (lstat(folder, &state) != 0)
	{
		if (errno == ENOENT)
			return true;
		ereport(WARNING, (errcode_for_file_access(),
						  errmsg("could not stat file \"%s\": %m", folder)));
		return false;
	}
	if (!S_ISDIR(state.st_mode) || state.st_uid != geteuid())
	{
		ereport(
			WARNING,
			(errmsg(
				"could not remove \"%s\": it is not a folder of the server's operating system user",
				folder)));
		return false;
	}
	end_processes(folder);
	return rmtree(folder, true);
}
