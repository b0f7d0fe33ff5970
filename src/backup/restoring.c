/*-------------------------------------------------------------------------
 *
 * restoring.c
 *	  Functions that restore_backup and verify_backup share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_tablespace_d.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "action/headroom.h"
#include "action/option_values.h"
#include "action/result.h"
#include "backup/restoring.h"
#include "backup/scratch.h"
#include "base/settings.h"
#include "base/wording.h"
#include "ledger/identity.h"

/*
 * The restored database is not used before it is complete, so commits need not
 * be durable.  Measurements showed that more memory for sorting than the
 * default of the server builds no index faster.
 */
static const char *const usual_settings[][2] = {
	{"synchronous_commit", "off"},
	{"jit", "off"},
};

static void
append_lack(StringInfo lacks, bool lacking, const char *what)
{
	if (lacking)
		appendStringInfo(lacks, "%s%s", lacks->len > 0 ? ", " : "", what);
}

void
require_rights_to_restore(const char *purpose, bool create_databases,
						  bool create_roles)
{
	Oid role = GetUserId();
	StringInfoData lacks;
	HeapTuple tuple;

	if (superuser_arg(role))
		return;
	initStringInfo(&lacks);
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", role);
	append_lack(&lacks,
				!has_privs_of_role(role, ROLE_PG_EXECUTE_SERVER_PROGRAM),
				"pg_execute_server_program");
	append_lack(&lacks,
				create_databases &&
					!((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb,
				"CREATEDB");
	append_lack(&lacks,
				create_roles &&
					!((Form_pg_authid) GETSTRUCT(tuple))->rolcreaterole,
				"CREATEROLE");
	ReleaseSysCache(tuple);
	if (lacks.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to %s", purpose),
				 errdetail("Role \"%s\" lacks: %s.",
						   GetUserNameFromId(role, false), lacks.data)));
}

/*
 * A dump has amounts of money in the format of the database's lc_monetary,
 * which a database that is being restored does not have yet.
 */
static void
append_money_setting(StringInfo settings, const BackupDescription *description)
{
	ListCell *cell;

	foreach (cell, description->settings)
	{
		const BackupSetting *setting = lfirst(cell);

		if (setting->role == NULL &&
			pg_strcasecmp(setting->name, "lc_monetary") == 0)
			append_setting(settings, "lc_monetary", setting->value);
	}
}

char *
restoring_settings(Jsonb *given, const BackupDescription *description)
{
	JsonbValue *own = json_field(given, "settings");
	StringInfoData settings;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	char *name = NULL;

	initStringInfo(&settings);
	for (int i = 0; i < lengthof(usual_settings); i++)
		append_setting(&settings, usual_settings[i][0], usual_settings[i][1]);
	append_money_setting(&settings, description);
	if (own == NULL || own->type != jbvBinary)
		return settings.data;
	iterator = JsonbIteratorInit(own->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE || name == NULL)
			continue;
		if (value.type == jbvString)
			append_setting(
				&settings, name,
				pnstrdup(value.val.string.val, value.val.string.len));
		else if (value.type == jbvNumeric)
			append_setting(&settings, name,
						   numeric_normalize(value.val.numeric));
		else if (value.type == jbvBool)
			append_setting(&settings, name, value.val.boolean ? "on" : "off");
	}
	return settings.data;
}

char *
lack_of_room_to_restore(const BackupDescription *description, int64 min_free)
{
	return lack_of_room(DEFAULTTABLESPACE_OID, description->database_bytes, 0,
						min_free);
}

void
match_with_ledger(const BackupDescription *description, int64 backup_id)
{
	LedgerScope scope;
	BackupRecord record;
	bool known;

	if (backup_id == 0)
		return;
	ledger_enter(&scope);
	known = read_backup_record(backup_id, &record);
	ledger_leave(&scope);
	if (!known || record.sha256 == NULL)
		return;
	if (record.bytes != description->bytes ||
		strcmp(record.sha256, description->sha256) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg(
				 "manifest of \"%s\" does not match backup %lld in the ledger",
				 record.key, (long long) backup_id),
			 errdetail("The manifest describes an object of %lld bytes with "
					   "SHA-256 %s; the backup has %lld bytes with SHA-256 "
					   "%s.",
					   (long long) description->bytes, description->sha256,
					   (long long) record.bytes, record.sha256)));
}

void
add_task_finding(TaskContext *context, const char *severity,
				 const char *object, char *message)
{
	(void) note_finding(&context->findings, "backup", severity,
						pstrdup(object), message);
}

void
tell_maker(TaskContext *context, const char *key, int64 backup_id,
		   const BackupDescription *description)
{
	LedgerScope scope;
	bool own;

	ledger_enter(&scope);
	own = description->identity != NULL
			  ? is_own_identity(description->identity)
			  : backup_id > 0;
	ledger_leave(&scope);
	if (!own)
		add_task_finding(
			context, "info", key,
			psprintf("backup %s was made by another database with identity %s",
					 key,
					 description->identity == NULL ? "unknown"
												   : description->identity));
}

void
tell_secrets(TaskContext *context, const char *key,
			 const BackupDescription *description)
{
	if (description->secrets > 0)
		add_task_finding(
			context, "info", key,
			psprintf("backup %s contains the options of %lld user mappings "
					 "or subscriptions in plain text, including passwords; "
					 "to leave them out, set {\"exclude_secrets\": true} for "
					 "the action backup",
					 key, (long long) description->secrets));
	if (description->excluded != NULL)
		add_task_finding(
			context, "warning", key,
			psprintf("backup %s was made with exclude_secrets; a database "
					 "restored from it lacks these objects, create them "
					 "again: %s",
					 key, description->excluded));
}

char *
describe_left_out(const EntryChoice *choice)
{
	StringInfoData text;
	ListCell *cell;

	if (choice->left_out == NIL)
		return NULL;
	initStringInfo(&text);
	foreach (cell, choice->left_out)
	{
		const LeftOutKind *kind = lfirst(cell);

		appendStringInfo(&text, "%s%d %s (%s%s)", text.len > 0 ? ", " : "",
						 kind->count, kind->kind, kind->first,
						 kind->count > 1 ? ", ..." : "");
	}
	return text.data;
}

bool
left_out_any(const EntryChoice *choice, const char *kind)
{
	ListCell *cell;

	foreach (cell, choice->left_out)
	{
		const LeftOutKind *left_out = lfirst(cell);

		if (strcmp(left_out->kind, kind) == 0)
			return true;
	}
	return false;
}

void
begin_restoring(void)
{
	MemoryContext context = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
}

void
end_restoring(void)
{
	MemoryContext context = CurrentMemoryContext;

	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

void
drop_scratches_of_task(const TaskContext *context)
{
	LedgerScope scope;
	List *scratches;
	ListCell *cell;

	ledger_begin(&scope, context->extension);
	scratches = scratches_of_task(context->task->task_id);
	ledger_commit(&scope);
	foreach (cell, scratches)
		(void) drop_scratch(lfirst(cell), context->extension);
}

static void
add_duration(StringInfo phrases, const char *what, Jsonb *result,
			 const char *name)
{
	double milliseconds = rint(1000 * result_fraction(result, name));

	if (result_has(result, name))
		add_phrase(phrases, psprintf("%s in %s", what,
									 duration_text((int64) milliseconds)));
}

char *
describe_restoration(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	char *settings = result_text(result, "settings");

	initStringInfo(&words);
	if (!result_has(result, "restore_seconds"))
	{
		/* roles and tablespaces are not restored */
		appendStringInfo(&words, "intact, %s read",
						 size_text(result_number(result, "bytes")));
		return words.data;
	}
	add_duration(&words, "restored", result, "restore_seconds");
	if (settings[0] != '\0')
		appendStringInfo(&words, " (%s)", settings);
	add_duration(&words, "compared", result, "comparison_seconds");
	add_duration(&words, "indexes checked", result, "check_seconds");
	appendStringInfo(
		&words, ": %s in %s, %s",
		counted(result_number(result, "rows"), "row", "rows"),
		counted(result_number(result, "tables"), "table", "tables"),
		counted(result_number(result, "indexes"), "index", "indexes"));
	return words.data;
}
