/*-------------------------------------------------------------------------
 *
 * private_server.c
 *	  A temporary PostgreSQL server that uses this server's binaries.
 *
 * Its postmaster is a child of this process.  If this process is killed, Linux
 * sends the postmaster the signal for an immediate shutdown, which it passes
 * on.  remains.c finds processes that none of this ends.
 *
 * Nothing is made durable, because no data has to survive.  Its superuser and
 * its roles log in with passwords, because other processes of the same operating
 * system user could otherwise log in, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libpq/pqcomm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/random.h"
#include "exec/private_server.h"
#include "exec/remains.h"
#include "exec/spawn.h"
#include "exec/stderr_capture.h"

#define PASSWORD_BYTES 32
#define ROLE_BYTES 8

/* between two looks at a server that starts, in milliseconds */
#define START_PAUSE 20

/* how long an immediate shutdown may take, in milliseconds */
#define STOP_TIMEOUT 10000

/* resources of this process; not in memory that an abort frees */
static pid_t postmaster = 0;
static char *postmaster_folder = NULL;
static bool registered = false;

/*
 * No libraries except for those in addition, no background processes, and no
 * contents of tables in the log.
 */
static const char usual_settings[] = "listen_addresses = ''\n"
									 "port = 5432\n"
									 "unix_socket_permissions = 0700\n"
									 "cluster_name = 'pgmaint proof'\n"
									 "max_prepared_transactions = 0\n"
									 "fsync = off\n"
									 "full_page_writes = off\n"
									 "synchronous_commit = off\n"
									 "wal_level = minimal\n"
									 "max_wal_senders = 0\n"
									 "max_replication_slots = 0\n"
									 "max_logical_replication_workers = 0\n"
									 "max_wal_size = 512MB\n"
									 "checkpoint_timeout = 1h\n"
									 "autovacuum = off\n"
									 "jit = off\n"
									 "huge_pages = off\n"
									 "dynamic_shared_memory_type = mmap\n"
									 "restart_after_crash = off\n"
									 "password_encryption = 'scram-sha-256'\n"
									 "log_destination = 'stderr'\n"
									 "log_min_messages = fatal\n"
									 "log_min_error_statement = panic\n"
									 "lc_messages = 'C'\n"
									 "timezone = 'UTC'\n"
									 "log_timezone = 'UTC'\n";

static const char access_rules[] = "local all all scram-sha-256\n";

/*
 * End the children first: initdb would continue to fill the folder that is
 * removed.
 */
static void
stop_at_exit(int code, Datum arg)
{
	kill_children();
	if (postmaster_folder != NULL)
		(void) remove_private_folder(postmaster_folder);
}

/*
 * A user who may rename the folder of a server could replace it with a server
 * of their own, which would receive the password and all rows.
 */
static void
check_parent(const char *folder)
{
	char *parent = pstrdup(folder);
	struct stat state;

	get_parent_directory(parent);
	if (stat(parent, &state) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat folder \"%s\": %m", parent)));
	if ((state.st_mode & S_IWOTH) != 0 && (state.st_mode & S_ISVTX) == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg(
				 "folder \"%s\" is not safe for a private server: every user of the operating system may rename files in it",
				 parent),
			 errhint(
				 "Execute chmod o-w on the folder, or set pgmaint.proof_directory to another folder.")));
}

/*
 * libpq treats a comma as the end of a folder's name.
 */
void
check_private_folder(const char *folder)
{
	int room = UNIXSOCK_PATH_BUFLEN - (int) strlen("/.s.PGSQL.5432") - 1;

	if ((int) strlen(folder) > room)
		ereport(
			ERROR,
			(errcode(ERRCODE_NAME_TOO_LONG),
			 errmsg(
				 "path of folder \"%s\" is too long for the socket of a server: %d bytes, at most %d",
				 folder, (int) strlen(folder), room),
			 errhint(
				 "Set pgmaint.proof_directory to a folder with a shorter path.")));
	if (strchr(folder, ',') != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg(
				 "path of folder \"%s\" contains a comma: no program could connect to a socket in the folder",
				 folder),
			 errhint(
				 "Set pgmaint.proof_directory to a folder without a comma in its path.")));
	check_parent(folder);
}

static void
write_file(const char *folder, const char *name, const char *text)
{
	char *path = psprintf("%s/%s", folder, name);
	FILE *file = AllocateFile(path, PG_BINARY_W);

	if (file == NULL || fputs(text, file) < 0 || fflush(file) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not write file \"%s\": %m", path)));
	(void) FreeFile(file);
}

char *
setting_line(const char *name, const char *value)
{
	char *escaped = escape_single_quotes_ascii(value);
	char *line;

	if (escaped == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	line = psprintf("%s = '%s'\n", name, escaped);
	free(escaped);
	return line;
}

/*
 * The password goes through a pipe, not through a file.  Databases are created
 * from template0, which allows any encoding and locale; the names of roles are
 * in the encoding of this database.
 */
static void
run_initdb(const PrivateServer *server)
{
	List *arguments = list_make5(
		psprintf("--pgdata=%s/data", server->folder),
		psprintf("--username=%s", server->role),
		pstrdup("--pwfile=/dev/stdin"), pstrdup("--auth=scram-sha-256"),
		psprintf("--encoding=%s", GetDatabaseEncodingName()));
	List *environment = clean_environment();
	char *password = psprintf("%s\n", server->password);
	Child *child;
	ChildEnd end;

	arguments = list_concat(
		arguments, list_make2(pstrdup("--locale=C"), pstrdup("--no-sync")));
	arguments = lappend(arguments, pstrdup("--no-instructions"));
	if (SERVER_HAS_CHECKSUMS_BY_DEFAULT)
		arguments = lappend(arguments, pstrdup("--no-data-checksums"));
	environment = list_concat(
		environment, list_make2(pstrdup("PGDATA"), pstrdup("TZ=UTC")));
	child = child_start(find_server_program("initdb"), arguments, environment);
	(void) child_write(child, password, strlen(password));
	child_wait(child, &end);
	check_end("initdb", &end);
}

PrivateServer *
make_private_server(const char *folder)
{
	PrivateServer *server = palloc0(sizeof(PrivateServer));

	if (postmaster_folder != NULL)
		elog(ERROR, "this process already has a private server");
	check_private_folder(folder);
	server->folder = pstrdup(folder);
	server->role = psprintf("pgmaint_%s", random_name(ROLE_BYTES));
	server->password = random_name(PASSWORD_BYTES);
	if (mkdir(folder, S_IRWXU) != 0)
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("could not create folder \"%s\": %m", folder),
			 errhint(
				 "Set pgmaint.proof_directory to a folder in which the server may create folders.")));
	if (!registered)
		before_shmem_exit(stop_at_exit, (Datum) 0);
	registered = true;
	postmaster_folder = MemoryContextStrdup(TopMemoryContext, folder);
	run_initdb(server);
	write_file(folder, "data/pg_hba.conf", access_rules);
	return server;
}

static bool
postmaster_has_ended(void)
{
	pid_t pid;

	if (postmaster == 0)
		return true;
	do
		pid = waitpid(postmaster, NULL, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	postmaster = 0;
	return true;
}

/*
 * Input is empty, and output goes into a file.
 */
static void
open_files(const char *folder, int files[STANDARD_FILES])
{
	char *log = psprintf("%s/log", folder);

	files[0] = open(DEVNULL, O_RDONLY);
	files[1] = open(log, O_WRONLY | O_CREAT | O_APPEND, S_IRUSR | S_IWUSR);
	files[2] = files[1] < 0 ? -1 : dup(files[1]);
	if (files[0] >= 0 && files[2] >= 0)
		return;
	for (int which = 0; which < STANDARD_FILES; which++)
	{
		if (files[which] >= 0)
			(void) close(files[which]);
	}
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not open file \"%s\": %m", log)));
}

/*
 * The log of a server that failed to start.
 */
static char *
read_log(const char *folder)
{
	FILE *file = AllocateFile(psprintf("%s/log", folder), PG_BINARY_R);
	StderrCapture capture = {0};
	char buffer[1024];
	size_t length;

	if (file == NULL)
		return pstrdup("");
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
		capture_stderr(&capture, buffer, length);
	(void) FreeFile(file);
	return captured_text(&capture);
}

static void
wait_until_ready(const PrivateServer *server)
{
	while (!postmaster_is_ready(server->folder, postmaster))
	{
		if (postmaster_has_ended())
			ereport(
				ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not start the private server: %s",
						read_log(server->folder)),
				 errhint(
					 "Remove the cause, or restore into a database of this server with the option {\"where\": \"database\"}.")));
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 START_PAUSE, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Remove the variables by which a postmaster's processes learn their memory
 * limits, which are those of this server, and the socket of systemd, which
 * would take the end of the private server for the end of this server.
 */
void
start_private_server(const PrivateServer *server, const char *settings)
{
	List *environment = list_concat(
		clean_environment(),
		list_make5(pstrdup("PGDATA"), pstrdup("PG_OOM_ADJUST_FILE"),
				   pstrdup("PG_OOM_ADJUST_VALUE"), pstrdup("NOTIFY_SOCKET"),
				   pstrdup("TZ=UTC")));
	Program program;
	int files[STANDARD_FILES];

	stop_private_server();
	write_file(
		server->folder, "data/postgresql.conf",
		psprintf("max_connections = %d\n%s%s%s", PRIVATE_CONNECTIONS,
				 usual_settings,
				 setting_line("unix_socket_directories", server->folder),
				 settings));
	prepare_program(&program, find_server_program("postgres"),
					list_make1(psprintf("-D%s/data", server->folder)),
					environment);
	program.apart = true;
	open_files(server->folder, files);
	postmaster = spawn(&program, files);
	wait_until_ready(server);
}

/*
 * Sessions continue after their postmaster has ended, until they wait.
 */
void
check_private_server(void)
{
	if (postmaster_folder != NULL && postmaster != 0 && postmaster_has_ended())
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("the private server has stopped: %s",
						read_log(postmaster_folder)),
				 errdetail("The failure does not count against the backup."),
				 errhint("Verify the backup again.")));
}

Login *
private_login(const PrivateServer *server, const char *database)
{
	return socket_login(server->folder, database, server->role,
						server->password, true);
}

/*
 * Stop at once: no data has to survive.
 */
void
stop_private_server(void)
{
	if (!postmaster_has_ended())
	{
		(void) kill(postmaster, SIGQUIT);
		for (int waited = 0; waited < STOP_TIMEOUT && !postmaster_has_ended();
			 waited += START_PAUSE)
			pg_usleep(START_PAUSE * 1000L);
	}
	if (!postmaster_has_ended())
	{
		(void) kill(postmaster, SIGKILL);
		while (waitpid(postmaster, NULL, 0) < 0 && errno == EINTR)
			;
		postmaster = 0;
	}
}

bool
remove_private_folder(const char *folder)
{
	bool own =
		postmaster_folder != NULL && strcmp(postmaster_folder, folder) == 0;
	bool removed;

	if (own)
		stop_private_server();
	removed = remove_remains(folder);
	if (own)
	{
		pfree(postmaster_folder);
		postmaster_folder = NULL;
	}
	return removed;
}
