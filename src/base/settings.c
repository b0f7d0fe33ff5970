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
 * What a role, a database or a session may have set, and what would change the
 * meaning of a command or of a value, or end a command half-way.
 *
 * A dump's amounts of money are as the server writes them, so that lc_monetary
 * is for archives alone, which pgmaint reads back itself.
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
	/* the next run would know nothing of what this one has done, and repeat it */
	{"track_counts", "on", WORKERS | PRIVILEGED},

	/* those at login, which would run as the superuser who logs in */
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
 * A password in a setting can be read by everybody.
 */
static bool
check_connection(char **value, void **extra, GucSource source)
{
	if (*value == NULL || strstr(*value, "password") == NULL)
		return true;
	GUC_check_errdetail("A password does not belong into a setting.");
	GUC_check_errhint(
		"Use a password file (passfile=...), which libpq reads.");
	return false;
}

/*
 * Relative to what, nobody could say.
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
		"Each is a background worker, beside the leader's own: max_worker_processes must have room for them.",
		&pgmaint_max_workers, 2, 1, 64, PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.lock_timeout",
		"Sets how long a task waits for a lock before it gives way.",
		"The task is tried again later, pgmaint.lock_retries times.",
		&pgmaint_lock_timeout, 5000, 10, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL,
		NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.lock_retries",
		"Sets how often a task that did not get its lock is tried again before it is skipped.",
		NULL, &pgmaint_lock_retries, 3, 0, 100, PGC_SUSET, 0, NULL, NULL,
		NULL);

	DefineCustomIntVariable(
		"pgmaint.max_wait",
		"Sets how long the rebuild of an index waits for a transaction of others before it is given up.",
		"It blocks nobody meanwhile, and is tried again later, pgmaint.lock_retries times.",
		&pgmaint_max_wait, 10 * 60 * 1000, 10, INT_MAX, PGC_SUSET, GUC_UNIT_MS,
		NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.worker_timeout",
		"Sets how long a run waits for a free background worker slot before it goes back to the queue.",
		NULL, &pgmaint_worker_timeout, 300, 1, INT_MAX / 1000, PGC_SUSET,
		GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.keep_history",
		"Sets how long finished runs and bloat measurements stay in the ledger.",
		"What is older goes at the end of a run.  -1 keeps everything.",
		&pgmaint_keep_history, 365 * 24 * 60, -1, INT_MAX, PGC_SUSET,
		GUC_UNIT_MIN, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.clock_offset",
		"Shifts the time that maintenance windows go by.",
		"For trying out what a run would do at another hour.",
		&pgmaint_clock_offset, 0, -INT_MAX, INT_MAX, PGC_SUSET,
		GUC_UNIT_S | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.takeover_delay",
		"Sets how long a database that may be a copy waits for a sign of its former self.",
		"After it, what the database wrote since to storages expires, and its interrupted runs are resumed.",
		&pgmaint_takeover_delay, 24 * 60 * 60, 0, INT_MAX / 1000, PGC_SIGHUP,
		GUC_UNIT_S, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.program_directory",
		"Sets the folder of pg_dump, pg_dumpall, pg_restore and psql.",
		"Empty: the folder of the server's own programs.",
		&pgmaint_program_directory, "", PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.connection",
		"Sets how these programs connect to the server, as in 'user=postgres host=localhost'.",
		"What it leaves out is this server, through its socket, and the role of the run.",
		&pgmaint_connection, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
		check_connection, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.pg_dump_options",
		"Sets more options for pg_dump, as on its command line.",
		"A space or a backslash in one of them needs a backslash before it.",
		&pgmaint_pg_dump_options, "", PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pgmaint.proof_directory",
		"Sets the folder in which servers are made to prove backups in.",
		"Empty: the folder that the data directory is in.",
		&pgmaint_proof_directory, "", PGC_SUSET, 0, check_proof_directory,
		NULL, NULL);

	DefineCustomIntVariable(
		"pgmaint.proof_memory",
		"Sets how much memory a server that a backup is proven in may use.",
		NULL, &pgmaint_proof_memory, 512, 64, MAX_PROOF_MEMORY, PGC_SUSET,
		GUC_UNIT_MB, NULL, NULL, NULL);

	reserve_setting_prefix("pgmaint");
}

/*
 * Is this setting to be pinned there, and does this server have it?
 */
static bool
is_pinned_for(int i, int where)
{
	return (pinned[i].where & where) != 0 &&
		   GetConfigOption(pinned[i].name, true, false) != NULL;
}

/*
 * Brings a worker's session to known settings, whatever was set for its role
 * or its database.
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
 * Values are written so that they read back as the same values, and read as
 * they were written, up to the end of the present nest level of settings.
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
 * As the server reads PGOPTIONS: a space ends a value, a backslash keeps it.
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
 * Steps may bring settings of their own, but none of those that workers pin:
 * all but statement_timeout, which can only make a task end sooner, and
 * TimeZone, which only code of the user's depends on.
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
