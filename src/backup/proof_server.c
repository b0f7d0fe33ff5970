/*-------------------------------------------------------------------------
 *
 * proof_server.c
 *	  The private server that a backup is verified in.
 *
 * Code in the dump may read all rows of the dump.  In a private server, no
 * other session can receive them, and no other work is blocked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <unistd.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "backup/code_settings.h"
#include "backup/proof.h"
#include "backup/scratch.h"
#include "base/compat.h"
#include "base/diskspace.h"
#include "base/random.h"
#include "base/settings.h"
#include "base/wording.h"
#include "exec/folder_processes.h"

#define NAME_BYTES 6
#define PASSWORD_BYTES 32

/* room for the files of initdb and the log of the restore */
#define SERVER_BYTES (INT64CONST(600) * 1024 * 1024)

/* the part of the memory for shared buffers */
#define SHARED_PART 4

/* the part for a process that sorts: more builds no index faster */
#define SORTING_PART 8

/*
 * the folder that this process watches, and how many bytes must stay free
 * there
 */
static const char *watched_folder;
static int64 watched_min_free;

char *
lack_of_room_for_proof(const BackupDescription *description, int64 min_free)
{
	char *directory = proof_directory();
	int64 needed = description->database_bytes + SERVER_BYTES;
	int64 free_bytes;

	if (access(directory, X_OK) != 0)
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("could not create a private server in folder \"%s\": %m",
					directory),
			 errhint("Set pgmaint.proof_directory to a folder in which the "
					 "server may create folders.")));
	free_bytes = free_bytes_of_folder(directory);
	if (needed <= free_bytes && min_free <= free_bytes - needed)
		return NULL;
	return psprintf("not enough disk space: verification needs %s in "
					"\"%s\", %s must stay free there, and %s are free; to "
					"use another disk, set pgmaint.proof_directory",
					size_text(needed), directory, size_text(min_free),
					size_text(free_bytes));
}

/*
 * Code in a dump may fill the disk, which this server needs, or use all
 * processors.  A session in an endless loop does not notice that its
 * postmaster has ended.
 */
static void
watch_proof(void)
{
	int64 free_bytes;

	check_private_server();
	if (access(watched_folder, F_OK) != 0 && errno == ENOENT)
		ereport(
			ERROR,
			(errcode_for_file_access(),
			 errmsg("folder \"%s\" of the private server was removed",
					watched_folder),
			 errhint("Verify the backup again, and leave the removal of such "
					 "folders to pgmaint. This "
					 "failure does not count against the backup.")));
	free_bytes = free_bytes_of_folder(watched_folder);
	(void) yield_processes_in(watched_folder);
	if (free_bytes < watched_min_free)
		ereport(ERROR,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("verification was stopped before the disk of folder "
						"\"%s\" was full: %s are free",
						watched_folder, size_text(free_bytes)),
				 errdetail("%s must stay free.", size_text(watched_min_free)),
				 errhint("Set pgmaint.proof_directory to a folder on a disk "
						 "with more free space. This failure does not count "
						 "against the backup.")));
}

static void
append_own_setting(StringInfo settings, const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	if (value != NULL && value[0] != '\0')
		appendStringInfoString(settings, setting_line(name, value));
}

/*
 * The private server must find the same libraries, hold as many locks and read
 * what this server has written: a dump has amounts of money in the format of
 * lc_monetary.  With max_worker_processes at 0, launchers of preloaded
 * libraries cannot start workers.
 */
static char *
settings_of(const Proof *proof, List *preloads)
{
	StringInfoData settings;
	StringInfoData libraries;
	ListCell *cell;

	initStringInfo(&settings);
	initStringInfo(&libraries);
	append_own_setting(&settings, "dynamic_library_path");
	append_own_setting(&settings, "extension_control_path");
	append_own_setting(&settings, "max_stack_depth");
	append_own_setting(&settings, "lc_monetary");
	append_own_setting(&settings, "lc_numeric");
	append_own_setting(&settings, "lc_time");
	appendStringInfoString(&settings, own_settings_for_code());
	appendStringInfo(
		&settings,
		"max_locks_per_transaction = " INT64_FORMAT "\n"
		"shared_buffers = %dMB\nmaintenance_work_mem = %dMB\n"
		"max_worker_processes = %d\n",
		Min((int64) max_locks_per_xact *
				Max(MaxBackends, PRIVATE_CONNECTIONS) / PRIVATE_CONNECTIONS,
			INT_MAX),
		pgmaint_proof_memory / SHARED_PART,
		pgmaint_proof_memory / SORTING_PART, preloads == NIL ? 2 : 0);
	if (preloads == NIL)
		return settings.data;
	foreach (cell, preloads)
		appendStringInfo(&libraries, "%s%s", libraries.len > 0 ? ", " : "",
						 quote_identifier(lfirst(cell)));
	appendStringInfoString(
		&settings, setting_line("shared_preload_libraries", libraries.data));
	appendStringInfoString(
		&settings, setting_line("cron.database_name", proof->database));
	return settings.data;
}

/*
 * Reserved names, and names that the encoding of this database cannot
 * represent, stay missing.
 */
static void
create_roles(Proof *proof, const BackupDescription *description)
{
	StringInfoData script;
	List *there = NIL;
	ListCell *cell;

	initStringInfo(&script);
	appendStringInfoString(&script, "\\set ON_ERROR_STOP off\n");
	foreach (cell, description->roles)
		appendStringInfo(&script, "CREATE ROLE %s NOLOGIN;\n",
						 quote_identifier(lfirst(cell)));
	appendStringInfoString(&script,
						   "SELECT rolname FROM pg_catalog.pg_roles;\n");
	foreach (cell, split_lines(run_psql(proof->admin, NULL, script.data)))
		there = lappend(there, makeString(lfirst(cell)));
	foreach (cell, description->roles)
	{
		if (!list_member(there, makeString(lfirst(cell))))
			proof->missing_roles = lappend(proof->missing_roles, lfirst(cell));
	}
}

/*
 * BYPASSRLS, since row security is not restored, and that of tables of
 * extensions would reject their rows.  Only the two roles may connect to a
 * database of the server.
 */
static void
create_database(Proof *proof, const BackupDescription *description,
				const char *password)
{
	ChildEnd end;

	(void) run_psql_script(
		proof->admin, NULL,
		psprintf(
			"CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE "
			"NOREPLICATION BYPASSRLS PASSWORD %s;\n"
			"CREATE DATABASE %s TEMPLATE template0%s;\n"
			"REVOKE ALL ON DATABASE %s, postgres, template1 FROM PUBLIC;\n"
			"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %s TO %s;\n",
			proof->role, quote_literal_cstr(password), proof->database,
			locale_clause(description), proof->database, proof->database,
			proof->role),
		&end);
	if (!end.succeeded)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not create a database with the encoding and "
						"the locale of the backup: %s",
						end.words),
				 errhint("Install the locale of the backed-up database on "
						 "this machine. This failure does not count against "
						 "the backup.")));
}

/*
 * Must the library of an extension be preloaded? That is so where LOAD fails
 * or ends the session, except where the library is missing.
 */
static bool
wants_preload(const Proof *proof, const BackupExtension *extension)
{
	ChildEnd end;
	char *sqlstate;

	if (!extension->for_superuser || !extension->available)
		return false;
	sqlstate = run_psql_script(proof->admin, NULL,
							   psprintf("\\set ON_ERROR_STOP off\nLOAD %s;\n"
										"\\echo :LAST_ERROR_SQLSTATE\n",
										quote_literal_cstr(extension->name)),
							   &end);
	return strcmp(sqlstate, "00000\n") != 0 &&
		   strcmp(sqlstate, "58P01\n") != 0;
}

static List *
find_preloads(const Proof *proof, const BackupDescription *description)
{
	List *preloads = NIL;
	ListCell *cell;

	foreach (cell, description->extensions)
	{
		BackupExtension *extension = lfirst(cell);

		if (wants_preload(proof, extension))
			preloads = lappend(preloads, extension->name);
	}
	return preloads;
}

void
make_proof(Proof *proof, const BackupDescription *description)
{
	char *password = random_name(PASSWORD_BYTES);
	instr_time begun;
	instr_time end;
	List *preloads;

	INSTR_TIME_SET_CURRENT(begun);
	watched_folder = proof->folder;
	watched_min_free = proof->min_free;
	proof->role = psprintf("pgmaint_scratch_%s", random_name(NAME_BYTES));
	proof->database = pstrdup(proof->role);
	proof->server = make_private_server(proof->folder);
	proof->admin = private_login(proof->server, "postgres");
	proof->owner = private_login(proof->server, proof->database);
	proof->login = socket_login(proof->folder, proof->database, proof->role,
								password, false);
	proof->login->settings = session_settings_for_code(description);
	start_private_server(proof->server, settings_of(proof, NIL));
	watch_children(watch_proof);
	preloads = find_preloads(proof, description);
	if (preloads != NIL)
		start_private_server(proof->server, settings_of(proof, preloads));
	create_database(proof, description, password);
	create_roles(proof, description);
	proof->settings =
		psprintf("private server, fsync off, wal_level minimal, %d MB",
				 pgmaint_proof_memory);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begun);
	proof->milliseconds = (int64) INSTR_TIME_GET_MILLISEC(end);
}

void
reset_proof_role(const Proof *proof)
{
	(void) run_psql(proof->admin, NULL,
					psprintf("ALTER ROLE %s RESET ALL;\n"
							 "ALTER ROLE %s IN DATABASE %s RESET ALL;\n"
							 "ALTER ROLE %s PASSWORD %s;\n",
							 proof->role, proof->role, proof->database,
							 proof->role,
							 quote_literal_cstr(proof->login->password)));
}
