/*-------------------------------------------------------------------------
 *
 * restore_checks.c
 *	  Checks of a restore_backup task before anything is created.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "action/evidence.h"
#include "backup/restoration.h"
#include "backup/restoring.h"
#include "backup/stored.h"
#include "base/compat.h"

static bool
is_wanted(const TaskContext *context, const char *option)
{
	return option_boolean(context->action->options, context->options, option);
}

/*
 * A backup that another database made must be named: the newest one may be
 * that of a copy.
 */
static char *
find_newest(Storage *storage, const char *database)
{
	StoredBackup *backup = find_newest_backup(storage, database, true);
	StoredBackup *foreign = NULL;

	if (backup == NULL)
		foreign = find_newest_backup(storage, database, false);
	if (foreign != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("storage \"%s\" has no backup of database \"%s\" "
						"that was made by this database",
						storage_name(storage), database),
				 errdetail("The newest backup, \"%s\", was made by another "
						   "database with identity %s.",
						   foreign->key,
						   foreign->identity == NULL ? "unknown"
													 : foreign->identity),
				 errhint("To restore that backup, set the option \"key\". To "
						 "list all backups: SELECT * FROM "
						 "pgmaint.list_backups(%s).",
						 quote_literal_cstr(storage_name(storage)))));
	if (backup == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("storage \"%s\" has no restorable backup of the "
						"whole database \"%s\"",
						storage_name(storage), database),
				 errhint("To list the backups and their errors: SELECT * "
						 "FROM pgmaint.list_backups(%s).",
						 quote_literal_cstr(storage_name(storage)))));
	return backup->key;
}

/*
 * An unused name: the name, cut where needed, and the present time.
 */
static char *
dated_name(const char *name, const char *word)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	char *stamp;
	char *dated;
	int attempt = 1;

	ledger_enter(&scope);
	(void) ledger_query(&query, "SELECT pg_catalog.to_char(pg_catalog.clock_"
								"timestamp(), 'YYYYMMDDHH24MI')");
	stamp = ledger_text(0, 1);
	ledger_leave(&scope);
	do
	{
		char *suffix = attempt == 1
						   ? psprintf("_%s%s", word, stamp)
						   : psprintf("_%s%s_%d", word, stamp, attempt);
		int length = pg_mbcliplen(name, (int) strlen(name),
								  NAMEDATALEN - 1 - (int) strlen(suffix));

		dated = psprintf("%.*s%s", length, name, suffix);
		attempt++;
	} while (OidIsValid(get_database_oid(dated, true)));
	return dated;
}

/*
 * May this database be renamed at the end of the restore?
 */
static void
check_replaceable(const char *name)
{
	Oid database = get_database_oid(name, true);

	if (!OidIsValid(database))
		return;
	if (database == MyDatabaseId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("database \"%s\" cannot be replaced by a run in the "
						"same database",
						name),
				 errhint("Execute the action in another database that has "
						 "the extension pgmaint, for example postgres.")));
	if (!database_ownercheck(database, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_DATABASE, name);
}

static void
choose_names(Restoration *restoration)
{
	const TaskContext *context = restoration->context;
	char *into =
		option_text(context->action->options, context->options, "into");
	const char *database = restoration->description->database;

	if (into != NULL && strlen(into) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG),
						errmsg("database name \"%s\" is too long", into)));
	restoration->spare_name = dated_name(database, "restored_");
	if (!is_wanted(context, "replace"))
	{
		restoration->name = into == NULL ? restoration->spare_name : into;
		if (OidIsValid(get_database_oid(restoration->name, true)))
			ereport(
				ERROR,
				(errcode(ERRCODE_DUPLICATE_DATABASE),
				 errmsg("database \"%s\" already exists", restoration->name),
				 errhint("Set the option \"into\" to another name, or "
						 "replace the existing database with {\"replace\": "
						 "true}.")));
		return;
	}
	restoration->name = into == NULL ? pstrdup(database) : into;
	check_replaceable(restoration->name);
	if (OidIsValid(get_database_oid(restoration->name, true)))
		restoration->old_name = dated_name(restoration->name, "");
}

static void
check_roles(const Restoration *restoration)
{
	StringInfoData names;
	ListCell *cell;

	if (restoration->no_owner || restoration->create_roles ||
		restoration->description->missing_roles == NIL)
		return;
	initStringInfo(&names);
	foreach (cell, restoration->description->missing_roles)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 quote_identifier(lfirst(cell)));
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_OBJECT),
		 errmsg("the backup needs roles that do not exist on this server: %s",
				names.data),
		 errhint("Restore the backup of roles and tablespaces with psql "
				 "first, or set {\"create_roles\": true} to create the roles "
				 "without LOGIN, or {\"no_owner\": true} to restore without "
				 "them.")));
}

/*
 * All checks that are possible before anything is created.  Returns false when
 * the task has ended.
 */
bool
look_ahead_of_restoration(Restoration *restoration)
{
	TaskContext *context = restoration->context;
	Storage *storage;

	begin_restoring();
	restoration->no_owner = is_wanted(context, "no_owner");
	restoration->create_roles =
		is_wanted(context, "create_roles") && !restoration->no_owner;
	require_rights_to_restore("restore a backup", true,
							  restoration->create_roles);
	storage = storage_open(restoration->storage, STORAGE_READ);
	if (restoration->key == NULL)
		restoration->key =
			find_newest(storage, evidence_text(context->task, "database"));
	restoration->description = describe_backup(storage, restoration->key);
	if (strcmp(restoration->description->kind, "database") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is a backup of roles and tablespaces, not of a "
					"database",
					restoration->key),
			 errhint(
				 "Execute the backup, which is an SQL script, with psql.")));
	match_with_ledger(restoration->description, restoration->backup_id);
	tell_maker(context, restoration->key, restoration->backup_id,
			   restoration->description);
	tell_secrets(context, restoration->key, restoration->description);
	choose_names(restoration);
	check_roles(restoration);
	restoration->refusal =
		verify_object_size(storage, restoration->description);
	if (restoration->refusal == NULL)
		context->not_done = lack_of_room_to_restore(
			restoration->description,
			option_bytes(context->action->options, context->options,
						 "min_free"));
	end_restoring();
	return context->not_done == NULL;
}
