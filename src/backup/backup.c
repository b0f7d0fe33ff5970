/*-------------------------------------------------------------------------
 *
 * backup.c
 *	  The action "backup": dumps databases with pg_dump, and roles and
 *	  tablespaces with pg_dumpall, each into one object in a storage.
 *
 * The room backup: backups are made, verified by restoring them, restored, and
 * removed when they expire.
 *
 * No file is written on this machine: a backup needs room only in its storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "action/leftovers.h"
#include "action/selection.h"
#include "backup/backup_options.h"
#include "backup/backup_task.h"
#include "ledger/identity.h"
#include "objects/keys.h"
#include "storage/storage.h"

#define LOCAL_STORAGE "pgmaint_local"

#define HOW_TO_CREATE_STORAGE                                     \
	"create a storage with CREATE SERVER backups FOREIGN DATA "   \
	"WRAPPER pgmaint_storage OPTIONS (url 's3://bucket/prefix') " \
	"and set the option \"storage\" to its name"

/*
 * The length that a key grows by later: the time has 9 bytes more than its
 * placeholder, a further attempt adds .10, and .globals.sql.zst is the longest
 * suffix of an object that belongs to a backup.
 */
#define ADDED_LENGTH (9 + 3 + 16)

/* bytes of a name in a key: 63, of which each may be written as three */
#define MAX_NAME_IN_KEY (3 * NAMEDATALEN)
#define MIN_NAME_IN_KEY 10

static bool
says(const char *template, const char *word)
{
	return strstr(template, word) != NULL;
}

/*
 * The template of the keys, before names are filled in.
 */
static char *
key_template(PlanContext *context, bool several)
{
	char *given = option_text(backup_options, context->options, "key");

	if (given == NULL)
		return several ? "{plan}/{database}/backup-" KEY_TIME "-{identity}"
					   : "{plan}/backup-" KEY_TIME "-{identity}";
	if (!says(given, KEY_TIME))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"key\" of action \"backup\" lacks the "
						"placeholder %s: \"%s\"",
						KEY_TIME, given),
				 errhint("Use a key that is different for each backup, for "
						 "example \"nightly/{database}-{time}\".")));
	if (several && !says(given, "{database}"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"key\" of action \"backup\" lacks the "
						"placeholder {database}, but several databases are "
						"backed up: \"%s\"",
						given),
				 errhint("Use for example \"nightly/{database}-{time}\".")));
	return given;
}

static void
append_name(StringInfo key, const char *name, int room)
{
	StringInfoData part;

	initStringInfo(&part);
	append_key_part(&part, name);
	if (part.len <= room)
		appendStringInfoString(key, part.data);
	else
		append_short_key_part(key, name, name, room);
}

/*
 * Fill in the placeholders of a template, except for the time.  Each name
 * takes at most room bytes.
 */
static char *
fill_in(const char *template, const char *plan, const char *database, int room)
{
	StringInfoData key;

	initStringInfo(&key);
	for (const char *next = template; *next != '\0';)
	{
		if (strncmp(next, "{plan}", 6) == 0)
		{
			append_name(&key, plan, room);
			next += 6;
		}
		else if (strncmp(next, "{database}", 10) == 0)
		{
			append_name(&key, database, room);
			next += 10;
		}
		else if (strncmp(next, "{identity}", 10) == 0)
		{
			appendStringInfoString(&key, identity_tag());
			next += 10;
		}
		else
			appendStringInfoChar(&key, *next++);
	}
	return key.data;
}

/*
 * Names are shortened where the storage does not allow keys of that length.
 */
static char *
make_key(const char *template, const char *plan, const char *database,
		 const char *storage)
{
	int longest = storage_longest_key(storage) - ADDED_LENGTH;
	char *key;
	int room = MAX_NAME_IN_KEY;

	do
		key = fill_in(template, plan, database, room);
	while (strlen(key) > longest && --room >= MIN_NAME_IN_KEY);
	return key;
}

static void
append_text(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, ", \"%s\": ", name);
	escape_json(json, value);
}

/*
 * The reason of a task, and the sizes to expect, by the last backup of the
 * same kind, database and selection.
 */
static char *
describe_last_backup(const char *kind, const char *storage,
					 const char *database, const char *selection,
					 int64 *dump_bytes, int64 *object_bytes)
{
	LedgerQuery query = {0};

	bind_text(&query, kind);
	bind_text(&query, storage);
	bind_text(&query, database);
	bind_text(&query, selection);
	if (ledger_query(
			&query,
			"SELECT pg_catalog.to_char(b.started_at AT TIME ZONE 'UTC', "
			"'YYYY-MM-DD HH24:MI \"UTC\"') AS started_at, b.dump_bytes, b.bytes "
			"FROM pgmaint_internal.backup_records b WHERE b.kind = $1 AND b.state = 'succeeded' "
			"AND b.storage = $2::pg_catalog.name "
			"AND b.database IS NOT DISTINCT FROM $3::pg_catalog.name "
			"AND b.selection IS NOT DISTINCT FROM $4::pg_catalog.jsonb "
			"ORDER BY b.started_at DESC LIMIT 1") == 0)
	{
		*dump_bytes = 0;
		*object_bytes = 0;
		return psprintf("no earlier backup in storage %s",
						quote_identifier(storage));
	}
	*dump_bytes = named_bigint(0, "dump_bytes");
	*object_bytes = named_bigint(0, "bytes");
	return psprintf("last backup: %s", named_text(0, "started_at"));
}

static void
add_backup_task(PlanContext *context, const char *template,
				const char *database, int64 bytes)
{
	char *storage = option_text(backup_options, context->options, "storage");
	char *selection =
		database == NULL ? NULL : backup_selection(context->options);
	const char *kind = database == NULL ? "globals" : "database";
	PlannedTask *task = palloc0(sizeof(PlannedTask));
	int level;
	const CompressionMethod *method =
		backup_compression(context->options, &level);
	char *key = make_key(template, context->plan,
						 database == NULL ? "globals" : database, storage);
	StringInfoData evidence;
	int64 dump_bytes;
	int64 object_bytes;

	task->action = "backup";
	task->reason = describe_last_backup(kind, storage, database, selection,
										&dump_bytes, &object_bytes);
	key = psprintf("%s%s%s", key, database == NULL ? ".globals.sql" : ".dump",
				   method->suffix);
	if (database == NULL)
	{
		task->target = "roles and tablespaces";
		task->command =
			psprintf("pg_dumpall --globals-only > %s/%s", storage, key);
	}
	else
	{
		task->target = pstrdup(quote_identifier(database));
		task->command = psprintf(
			"pg_dump --format=custom %s > %s/%s",
			selection == NULL
				? quote_identifier(database)
				: psprintf("%s %s", quote_identifier(database), selection),
			storage, key);
	}
	task->bytes = dump_bytes > 0 ? dump_bytes : bytes;

	initStringInfo(&evidence);
	appendStringInfo(
		&evidence,
		"{\"kind\": \"%s\", \"expected_bytes\": %lld, "
		"\"expected_object_bytes\": %lld",
		kind, (long long) dump_bytes,
		(long long) (object_bytes > 0 ? object_bytes : Max(bytes, 0) / 4));
	append_text(&evidence, "storage", storage);
	append_text(&evidence, "key", key);
	append_text(&evidence, "database", database);
	append_text(&evidence, "selection", selection);
	append_text(&evidence, "compression", method->name);
	appendStringInfoChar(&evidence, '}');
	task->evidence = evidence.data;
	context->tasks = lappend(context->tasks, task);
}

/*
 * A finding for each database that cannot be backed up: databases that an
 * interrupted DROP DATABASE left invalid, and databases that allow no
 * connections. template0 never changes, so it is ignored.
 */
static void
note_closed_databases(PlanContext *context, List *names, bool all)
{
	LedgerQuery query = {0};
	uint64 rows;

	bind_texts(&query, names);
	bind_boolean(&query, all);
	rows = ledger_query(
		&query,
		"SELECT pg_catalog.quote_ident(d.datname), CASE d.datconnlimit "
		"WHEN -2 THEN 'the database is invalid because DROP DATABASE was interrupted; drop the database' "
		"ELSE 'the database allows no connections' END FROM pg_catalog.pg_database d "
		"WHERE d.datconnlimit = -2 AND ($2 OR d.datname = ANY ($1)) "
		"OR $2 AND NOT d.datallowconn AND d.datname <> 'template0' "
		"ORDER BY d.datname");
	for (uint64 row = 0; row < rows; row++)
	{
		char *name = ledger_text(row, 1);

		plan_finding(context, "backup", "warning", name,
					 psprintf("database %s is not backed up: %s", name,
							  ledger_text(row, 2)),
					 NULL);
	}
}

/*
 * Databases that were named may not exist: the task of each reports that, and
 * the other tasks continue.
 */
static uint64
find_databases(PlanContext *context)
{
	LedgerQuery query = {0};
	List *names = option_names(context->options, "databases");
	bool all =
		option_boolean(backup_options, context->options, "all_databases");

	if (names != NIL && all)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"databases\" and \"all_databases\" of "
						"action \"backup\" cannot be combined"),
				 errhint("Remove one of the two options.")));
	note_closed_databases(context, names, all);
	bind_texts(&query, names);
	bind_boolean(&query, all);
	return ledger_query(
		&query,
		"SELECT n.name, CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') "
		"THEN pg_catalog.pg_database_size(d.oid) END "
		"FROM (SELECT DISTINCT u FROM pg_catalog.unnest($1) u UNION ALL "
		"SELECT d.datname FROM pg_catalog.pg_database d WHERE $1 IS NULL AND CASE WHEN $2 "
		"THEN d.datallowconn "
		"ELSE d.datname = pg_catalog.current_database() END) n (name) "
		"LEFT JOIN pg_catalog.pg_database d ON d.datname = n.name "
		"WHERE d.datconnlimit IS DISTINCT FROM -2 ORDER BY n.name");
}

/*
 * Without the option "storage", a missing default storage is a finding, so
 * that the other steps of a plan are executed.  With the option, the task
 * reports what is wrong with the storage.
 */
static bool
has_no_storage(PlanContext *context)
{
	LedgerQuery query = {0};

	if (option_given(context->options, "storage"))
		return false;
	bind_text(&query, LOCAL_STORAGE);
	bind_oid(&query, context->role);
	if (ledger_query(&query,
					 "SELECT pg_catalog.has_server_privilege($2, s.oid, "
					 "'USAGE') FROM pg_catalog.pg_foreign_server s "
					 "WHERE s.srvname = $1::pg_catalog.name") == 0)
		plan_finding(context, "backup", "warning", LOCAL_STORAGE,
					 "no backup is made: option \"storage\" is not set, and "
					 "storage " LOCAL_STORAGE
					 " does not exist; " HOW_TO_CREATE_STORAGE,
					 NULL);
	else if (!ledger_boolean(0, 1))
		plan_finding(
			context, "backup", "warning", LOCAL_STORAGE,
			psprintf(
				"no backup is made: option \"storage\" is not set, and role "
				"%s lacks USAGE on storage " LOCAL_STORAGE
				"; " HOW_TO_CREATE_STORAGE,
				quote_identifier(GetUserNameFromId(context->role, false))),
			NULL);
	else
		return false;
	return true;
}

static void
plan_backup(PlanContext *context)
{
	char *storage = option_text(backup_options, context->options, "storage");
	uint64 rows;
	char **names;
	int64 *bytes;
	char *template;

	plan_leftovers(context, "backup");
	if (has_no_storage(context))
		return;
	rows = find_databases(context);
	names = palloc(sizeof(char *) * Max(rows, 1));
	bytes = palloc(sizeof(int64) * Max(rows, 1));
	for (uint64 row = 0; row < rows; row++)
	{
		names[row] = ledger_text(row, 1);
		bytes[row] = ledger_bigint(row, 2);
	}
	template = key_template(context, rows > 1);
	for (uint64 row = 0; row < rows; row++)
		add_backup_task(context, template, names[row], bytes[row]);
	warn_of_unsafe_release(context, FIX_DUMP_OF_REPLACED_TABLES, "pg_dump");
	if (option_boolean(backup_options, context->options, "globals"))
	{
		warn_of_unsafe_release(context, FIX_COMMANDS_IN_DUMPS, "pg_dumpall");
		add_backup_task(context, template, NULL, -1);
	}
	if (strcmp(storage, LOCAL_STORAGE) == 0)
		plan_finding(
			context, "backup", "info", LOCAL_STORAGE,
			"storage " LOCAL_STORAGE
			" is on the disk of the data directory, and its backups would be "
			"lost with that disk; " HOW_TO_CREATE_STORAGE,
			NULL);
}

DEFINE_ACTION(backup) = {
	.name = "backup",
	.description = "dump databases, roles and tablespaces with pg_dump and "
				   "pg_dumpall into objects in a storage",
	.options = backup_options,
	.uses_storage = true,
	.plan = plan_backup,
	.consider = consider_backup,
	.execute = execute_backup,
	.describe = describe_backup_result,
	.clean_up = clean_up_backup,
};
