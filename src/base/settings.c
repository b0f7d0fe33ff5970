/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The pgmaint.* settings, and the server's settings that are pinned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <limits.h>

#include "utils/guc.h"

#include "base/compat.h"
#include "base/settings.h"

int pgmaint_max_workers = 2;
int pgmaint_lock_timeout = 5000;
int pgmaint_lock_retries = 3;
int pgmaint_max_wait = 10 * 60 * 1000;
int pgmaint_worker_timeout = 300;
int pgmaint_keep_history = 365 * 24 * 60;
int pgmaint_clock_offset = 0;
int pgmaint_takeover_delay = 24 * 60 * 60;
char *pgmaint_program_directory = NULL;
char *pgmaint_connection = NULL;
char *pgmaint_pg_dump_options = NULL;
char *pgmaint_proof_directory = NULL;
int pgmaint_proof_memory = 512;

/* in MB: a terabyte */
#define MAX_PROOF_MEMORY (1024 * 1024)

/* who needs a setting pinned */
#define WORKERS 0x01	 /* pgmaint's own processes */
#define CHILDREN 0x02	 /* pg_dump, pg_restore and psql */
#define PRIVILEGED 0x04	 /* ... but only a superuser may set it */
#define ROUND_TRIPS 0x08 /* values that are archived or restored */
#define EVERYBODY (WORKERS | CHILDREN | ROUND_TRIPS)

/*
 * Settings of a role, a database or a session that would change the meaning of
 * a command or of a value, or end a command half-way.
 *
 * lc_monetary is pinned for archives only, which pgmaint reads back itself: a
 * dump has amounts of money as the server writes them.
 */
static const struct
{
	const char *name;
	const char *value;
	int where;
} pinned[] = {
	{"DateStyle", "ISO, MDY", EVERYBODY},
	{"IntervalStyle", "postgres", EVERYBODY},
	{"TimeZone", "UTC", EVERYBODY},
	{"array_nulls", "on", EVERYBODY},
	{"backslash_quote", "safe_encoding", EVERYBODY},
	{"bytea_output", "hex", EVERYBODY},
	{"extra_float_digits", "1", EVERYBODY},
	{"quote_all_identifiers", "off", EVERYBODY},
	{"standard_conforming_strings", "on", EVERYBODY},
	{"transform_null_equals", "off", EVERYBODY},
	{"xmlbinary", "base64", EVERYBODY},
	{"xmloption", "content", EVERYBODY},
	{"lc_monetary", "C", ROUND_TRIPS},

	{"statement_timeout", "0", WORKERS | CHILDREN},
	{"idle_in_transaction_session_timeout", "0", WORKERS | CHILDREN},
	{"idle_session_timeout", "0", WORKERS | CHILDREN},
	{"transaction_timeout", "0", WORKERS | CHILDREN},
	{"lock_timeout", "5s", WORKERS},
	{"lock_timeout", "0", CHILDREN},

	{"default_transaction_read_only", "off", WORKERS | CHILDREN},
	{"default_transaction_isolation", "read committed", WORKERS | CHILDREN},
	{"default_transaction_deferrable", "off", WORKERS | CHILDREN},
	{"default_tablespace", "", WORKERS | CHILDREN},
	{"temp_tablespaces", "", WORKERS | CHILDREN},
	{"default_table_access_method", "heap", WORKERS | CHILDREN},
	{"session_replication_role", "origin", WORKERS | PRIVILEGED},
	{"zero_damaged_pages", "off", WORKERS | PRIVILEGED},
	{"ignore_checksum_failure", "off", WORKERS | PRIVILEGED},
	{"allow_system_table_mods", "off", WORKERS | PRIVILEGED},
	{"lo_compat_privileges", "off", WORKERS | PRIVILEGED},
	/*
	 * without counts, the next run would not know what this run did, and
	 * repeat it
	 */
	{"track_counts", "on", WORKERS | PRIVILEGED},

	/*
	 * event triggers at login would run with the rights of the superuser who
	 * logs in
	 */
	{"event_triggers", "off", PRIVILEGED},
	{"search_path", "pg_catalog, pg_temp", WORKERS | ROUND_TRIPS},
	{"row_security", "on", WORKERS},
	{"row_security", "off", ROUND_TRIPS},
	{"synchronous_commit", "on", WORKERS},
	{"exit_on_error", "off", WORKERS},
	{"role", "none", WORKERS},
	{"jit", "off", WORKERS},
};

/*
 * Every role can read a password in a setting.
 */
static bool
check_connection(char **value, void **extra, GucSource source)
{
	if (*value == NULL || strstr(*value, "password") == NULL)
		return true;
	GUC_check_errdetail(
		"Every role that may read the setting would see the password.");
	GUC_check_errhint(
		"Use a password file (passfile=...), which libpq reads.");
	return false;
}

/*
 * A relative path would depend on the working directory.
 */
static bool
check_proof_directory(char **value, void **extra, GucSource source)
{
	if (*value == NULL || (*value)[0] == '\0' || is_absolute_path(*value))
		return true;
	GUC_check_errdetail("The folder must be an absolute path.");
	return false;
}

/*
 * Called once per process, by _PG_init.
 */
void
define_settings(void)
{
	DefineCustomIntVariable(
		"pgmaint.max_workers",
		"Sets the number of task workers that a run uses at the same time.",
		"Each task worker and the leader of the run need a background worker slot; raise max_worker_processes accordingly.",
		&pgmaint_max_workers, 2, 1, 64, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.lock_timeout",
		"Sets the maximum time that a task waits for a lock.",
		"After it, the attempt ends, and the task is tried again up to pgmaint.lock_retries times.",
		&pgmaint_lock_timeout, 5000, 10, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL,
		NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.lock_retries",
		"Sets the number of times that a task is tried again after it did not get a lock, before it is skipped.",
		NULL, &pgmaint_lock_retries, 3, 0, 100, PGC_SUSET, 0, NULL, NULL,
		NULL);

	DefineCustomIntVariable(
		"pgmaint.max_wait",
		"Sets the maximum time that the rebuild of an index or a compaction waits for other sessions.",
		"After it, the attempt ends, and is made again up to pgmaint.lock_retries times.  A compaction that waited for older snapshots or for a standby moves no more rows instead, and keeps what it has gained.  No session is blocked meanwhile.",
		&pgmaint_max_wait, 10 * 60 * 1000, 10, INT_MAX, PGC_SUSET, GUC_UNIT_MS,
		NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.worker_timeout",
		"Sets the maximum time that a run waits for a free background worker slot before it is queued again.",
		NULL, &pgmaint_worker_timeout, 300, 1, INT_MAX / 1000, PGC_SUSET,
		GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.keep_history",
		"Sets the time for which the ledger keeps finished runs and bloat measurements.",
		"Older rows are deleted at the end of each run.  -1 keeps all rows.",
		&pgmaint_keep_history, 365 * 24 * 60, -1, INT_MAX, PGC_SUSET,
		GUC_UNIT_MIN, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.clock_offset",
		"Shifts the clock by which maintenance windows open and close.",
		"Use it to test what a run would do at another time.",
		&pgmaint_clock_offset, 0, -INT_MAX, INT_MAX, PGC_SUSET,
		GUC_UNIT_S | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.takeover_delay",
		"Sets how long a database that may be a copy waits for a sign of its original.",
		"After that time without a sign, backups that the database has written since the doubt began may expire, and its interrupted runs are resumed.",
		&pgmaint_takeover_delay, 24 * 60 * 60, 0, INT_MAX / 1000, PGC_SIGHUP,
		GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.program_directory",
		"Sets the folder that contains pg_dump, pg_dumpall, pg_restore and psql.",
		"An empty string means the folder of the server's own programs.",
		&pgmaint_program_directory, "", PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.connection",
		"Sets the libpq connection parameters of pg_dump, pg_dumpall, pg_restore and psql, such as 'user=postgres host=localhost'.",
		"Defaults are the socket of this server and the role of the run.",
		&pgmaint_connection, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
		check_connection, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.pg_dump_options",
		"Sets additional command-line options of pg_dump.",
		"Write a backslash before a space or a backslash that is part of an option.",
		&pgmaint_pg_dump_options, "", PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.proof_directory",
		"Sets the folder in which private servers for the verification of backups are created.",
		"An empty string means the parent folder of the data directory.",
		&pgmaint_proof_directory, "", PGC_SUSET, 0, check_proof_directory,
		NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.proof_memory",
		"Sets the maximum memory of a private server in which a backup is verified.",
		NULL, &pgmaint_proof_memory, 512, 64, MAX_PROOF_MEMORY, PGC_SUSET,
		GUC_UNIT_MB, NULL, NULL, NULL);

	reserve_setting_prefix("pgmaint");
}

/*
 * Is this setting pinned for these sessions, and does the server have it?
 */
static bool
is_pinned_for(int i, int where)
{
	return (pinned[i].where & where) != 0 &&
		   GetConfigOption(pinned[i].name, true, false) != NULL;
}

/*
 * Set the settings of a worker's session to known values, regardless of those
 * of its role or its database.
 */
void
pin_session_settings(void)
{
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (is_pinned_for(i, WORKERS))
			SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET,
							PGC_S_SESSION);
	}
}

/*
 * A setting that ends with the transaction.
 */
void
set_for_transaction(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * Until the end of the current nest level of settings, values are written so
 * that they read back as the same values.
 */
void
pin_round_trip_settings(void)
{
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (is_pinned_for(i, ROUND_TRIPS))
			(void) set_config_option(pinned[i].name, pinned[i].value,
									 PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	}
}

/*
 * Append a setting in the format of PGOPTIONS: a space ends a value, a
 * backslash escapes.
 */
void
append_setting(StringInfo settings, const char *name, const char *value)
{
	appendStringInfo(settings, "%s-c %s=", settings->len > 0 ? " " : "", name);
	for (; *value != '\0'; value++)
	{
		if (isspace((unsigned char) *value) || *value == '\\')
			appendStringInfoChar(settings, '\\');
		appendStringInfoChar(settings, *value);
	}
}

/*
 * The same for sessions of programs, whose role may be a superuser.
 */
void
append_pinned_settings(StringInfo settings, bool superuser)
{
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (is_pinned_for(i, superuser ? CHILDREN | PRIVILEGED : CHILDREN))
			append_setting(settings, pinned[i].name, pinned[i].value);
	}
}

/*
 * Steps may have their own settings, except for those that workers pin: all
 * but statement_timeout, which can only end a task earlier, and TimeZone, on
 * which only code of users depends.
 */
bool
setting_is_pinned(const char *name)
{
	if (pg_strcasecmp(name, "session_authorization") == 0)
		return true;
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if ((pinned[i].where & WORKERS) != 0 &&
			pg_strcasecmp(pinned[i].name, name) == 0)
			return strcmp(pinned[i].name, "statement_timeout") != 0 &&
				   strcmp(pinned[i].name, "TimeZone") != 0;
	}
	return false;
}
