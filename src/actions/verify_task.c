/*-------------------------------------------------------------------------
 *
 * verify_task.c
 *	  How a task of the action "verify_backup" is carried out.
 *
 * The backup is restored into a server of its own, or into a database of this
 * one, as a role that has no rights but in there, compared with its manifest, and
 * removed again.  Only what says something about the backup makes it "not
 * restorable".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "actions/evidence.h"
#include "actions/restoring.h"
#include "actions/verify_task.h"
#include "backup/compare.h"
#include "backup/prepare.h"
#include "backup/proof.h"
#include "backup/records.h"
#include "backup/restore.h"
#include "backup/scratch.h"
#include "backup/verifications.h"
#include "base/error_text.h"
#include "base/subtransaction.h"
#include "base/wording.h"
#include "ledger/identity.h"
#include "objects/keys.h"

/* what was noted beside a backup, with the error that it may tell */
#define MAX_WORD_BYTES ((size_t) 16 * 1024 * 1024)

/* one backup, while it is verified */
typedef struct Verification
{
	TaskContext *context;
	int64 backup_id; /* 0: the ledger does not know it */
	char *storage;
	char *key;
	BackupDescription *description;
	bool in_server;	  /* one of its own */
	Proof *proof;	  /* in_server */
	Scratch *scratch; /* otherwise */
	Preparation preparation;
	RestoreJob restore;
	Comparison comparison;
	Questioning questioning;
	char *refusal; /* why it is not restorable */
} Verification;

static int64
min_free(const TaskContext *context)
{
	return option_bytes(context->action->options, context->options,
						"min_free");
}

/*
 * Everything that can be said before anything is made.  Returns false when the
 * task has ended here.
 */
static bool
look_ahead(Verification *verification)
{
	TaskContext *context = verification->context;
	Storage *storage;

	begin_restoring();
	verification->in_server = strcmp(option_text(context->action->options,
												 context->options, "where"),
									 "server") == 0;
	require_rights_to_restore("verify a backup", !verification->in_server,
							  !verification->in_server);
	storage = storage_open(verification->storage, STORAGE_READ);
	verification->description = describe_backup(storage, verification->key);
	match_with_ledger(verification->description, verification->backup_id);
	tell_maker(context, verification->key, verification->backup_id,
			   verification->description);
	tell_secrets(context, verification->key, verification->description);
	verification->refusal = refute_object(storage, verification->description);
	if (verification->refusal == NULL &&
		strcmp(verification->description->kind, "globals") == 0)
		verification->refusal =
			check_object(storage, verification->description);
	else if (verification->refusal == NULL)
		context->not_done =
			verification->in_server
				? lack_of_room_for_proof(verification->description,
										 min_free(context))
				: lack_of_room_to_restore(verification->description,
										  min_free(context));
	end_restoring();
	return context->not_done == NULL;
}

static bool
wants_amcheck(const TaskContext *context)
{
	char *given =
		option_text(context->action->options, context->options, "amcheck");

	return given == NULL || strcmp(given, "auto") == 0 ||
		   strcmp(given, "on") == 0 || strcmp(given, "true") == 0;
}

/*
 * Where the dump is restored, and as whom.
 */
static void
prepare_in_server(Verification *verification)
{
	Preparation *preparation = &verification->preparation;
	Proof *proof = verification->proof;

	pgstat_report_activity(STATE_RUNNING, "making a private server");
	make_proof(proof, verification->description);
	preparation->role = proof->role;
	preparation->login = proof->login;
	preparation->owner = preparation->admin = proof->owner;
	preparation->alone = true;
	preparation->missing_roles = proof->missing_roles;
}

static void
prepare_in_database(Verification *verification)
{
	Preparation *preparation = &verification->preparation;
	const Scratch *scratch = verification->scratch;

	preparation->role = scratch->role;
	preparation->login =
		password_login(scratch->database, scratch->role, scratch->password);
	preparation->owner = role_login(scratch->database, GetUserId(), false);
	preparation->admin =
		superuser_arg(GetUserId()) ? preparation->owner : NULL;
	preparation->missing_roles = verification->description->missing_roles;
	verification->restore.database = scratch->database;
}

/*
 * In a transaction that needs no snapshot.
 */
static void
restore(Verification *verification)
{
	TaskContext *context = verification->context;
	Preparation *preparation = &verification->preparation;
	RestoreJob *restore = &verification->restore;

	begin_restoring();
	preparation->description = verification->description;
	preparation->amcheck = wants_amcheck(context);
	preparation->settings = restoring_settings(context->options);
	if (verification->in_server)
		prepare_in_server(verification);
	else
		prepare_in_database(verification);
	prepare_scratch(preparation);

	restore->storage = storage_open(verification->storage, STORAGE_READ);
	restore->description = verification->description;
	restore->login = preparation->login;
	restore->settings = preparation->settings;
	restore->choice = &preparation->choice;
	restore->arguments = list_make4(
		pstrdup("--no-owner"), pstrdup("--no-privileges"),
		pstrdup("--no-publications"), pstrdup("--no-security-labels"));
	verification->refusal = restore_object(restore);
	end_restoring();
}

/*
 * In a transaction of its own: what the dump's code has set for the role must be
 * gone for everybody before the sessions begin.
 */
static void
compare(Verification *verification)
{
	const Preparation *preparation = &verification->preparation;
	Comparison *comparison = &verification->comparison;

	if (!verification->in_server)
		reset_scratch_role(verification->scratch);
	begin_restoring();
	if (verification->in_server)
		reset_proof_role(verification->proof);
	comparison->login = preparation->login;
	comparison->settings = preparation->settings;
	comparison->description = verification->description;
	comparison->left_out = preparation->choice.list;
	comparison->amcheck = preparation->has_amcheck;
	compare_with_manifest(comparison);
	verification->refusal = comparison->differences;
	end_restoring();
}

/*
 * What users ask.  Answers are committed before an ERROR says which are lacking.
 */
static void
ask(Verification *verification)
{
	const Preparation *preparation = &verification->preparation;
	Questioning *questioning = &verification->questioning;

	begin_restoring();
	questioning->login = preparation->login;
	questioning->settings = preparation->settings;
	questioning->description = verification->description;
	questioning->left_out = preparation->choice.left_out != NIL ||
							preparation->refused != NIL ||
							verification->description->excluded != NULL;
	ask_verifications(questioning);
	verification->refusal = questioning->refusal;
	end_restoring();
	questioning->backup_id = verification->backup_id;
	questioning->run_id = verification->context->run_id;
	questioning->task_id = verification->context->task->task_id;
	record_answers(questioning, verification->context->extension);
}

/*
 * Did this database leave the word that is there?  What does not say who did is
 * older, and of the database that made the backup.
 */
static bool
is_own_word(const char *word, const char *maker)
{
	LedgerScope scope;
	LedgerQuery query = {0};
	char *writer;
	bool own;

	bind_text(&query, word);
	bind_text(&query, maker);
	ledger_enter(&scope);
	(void) ledger_query(
		&query, "SELECT coalesce($1::pg_catalog.jsonb ->> 'identity', $2)");
	writer = ledger_text(0, 1);
	own = writer != NULL && is_own_identity(writer);
	ledger_leave(&scope);
	return own;
}

static char *
own_identity(void)
{
	LedgerScope scope;
	char *identity;

	ledger_enter(&scope);
	identity = known_identity();
	ledger_leave(&scope);
	return identity;
}

/*
 * Beside the backup, for servers that know nothing of this ledger.  What another database
 * has left there stays.
 */
static void
leave_word(void *argument)
{
	const Verification *verification = argument;
	const BackupDescription *description = verification->description;
	Storage *storage = storage_open(verification->storage, STORAGE_WRITE);
	char *key = verification_key(verification->key);
	StoredObject there;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"pgmaint\": \"verification\", \"key\": ");
	escape_json(&json, verification->key);
	appendStringInfoString(&json, ", \"sha256\": ");
	escape_json(&json, description->sha256);
	appendStringInfoString(&json, ", \"mark\": ");
	escape_json(&json, description->mark);
	appendStringInfo(
		&json,
		", \"verification\": \"%s\", \"verified_at\": \"%s\", "
		"\"restore_seconds\": %s, \"error\": ",
		verification->refusal != NULL ? "not restorable"
		: strcmp(verification->description->kind, "globals") == 0
			? "intact"
			: "restorable",
		DatumGetCString(DirectFunctionCall1(
			timestamptz_out, TimestampTzGetDatum(GetCurrentTimestamp()))),
		verification->refusal != NULL
			? "null"
			: psprintf("%.3f",
					   (double) verification->restore.milliseconds / 1000));
	if (verification->refusal == NULL)
		appendStringInfoString(&json, "null");
	else
		escape_json(&json, verification->refusal);
	appendStringInfoString(&json, ", \"server_version\": ");
	escape_json(&json, GetConfigOption("server_version", false, false));
	appendStringInfo(&json, ", \"identity\": \"%s\"}", own_identity());
	if (storage_stat(storage, key, &there))
	{
		if (there.mark == NULL || strcmp(there.mark, description->mark) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("%s is there, and is not of this backup", key)));
		if (!is_own_word(storage_get_text(storage, key, MAX_WORD_BYTES),
						 description->identity))
			return;
		storage_delete(storage, key);
	}
	storage_put_text(storage, key, "application/json", description->mark,
					 json.data);
}

static void
leave_word_if_possible(Verification *verification)
{
	ErrorData *error;

	if (verification->description->mark == NULL)
		return;
	begin_restoring();
	error = try_unless_stopped(leave_word, verification);
	end_restoring();
	if (error != NULL)
		add_task_finding(
			verification->context, "info", verification->key,
			psprintf(
				"what verifying %s came to could not be noted beside it, only "
				"in this ledger: %s",
				verification->key, error_text(error)));
}

/*
 * What a proof does not cover must be known; of whole tables, it should worry.
 */
static void
tell_what_was_left_out(Verification *verification)
{
	const EntryChoice *choice = &verification->preparation.choice;
	char *left_out = describe_left_out(choice);
	const char *severity = left_out_any(choice, "TABLE") ? "warning" : "info";
	ListCell *cell;

	foreach (cell, verification->preparation.refused)
		add_task_finding(verification->context, "info", verification->key,
						 psprintf("%s was verified without extension %s",
								  verification->key, (char *) lfirst(cell)));
	if (verification->comparison.amcheck &&
		verification->comparison.checked_indexes < 0)
		add_task_finding(
			verification->context, "warning", verification->key,
			psprintf("%s was verified without a check of its indexes: the "
					 "extension amcheck in it has no function "
					 "bt_index_check that is written in C and belongs to a "
					 "superuser",
					 verification->key));
	if (left_out != NULL)
		add_task_finding(
			verification->context, severity, verification->key,
			psprintf("verifying %s left out what only a superuser may create, "
					 "and what depends on it: %s",
					 verification->key, left_out));
}

/*
 * What a private server would not have cost.
 */
static void
tell_what_it_cost(Verification *verification)
{
	add_task_finding(
		verification->context, "warning", verification->key,
		psprintf("%s was restored in this server, where it took %s of its "
				 "disk, wrote as much WAL, which went to all standbys, and "
				 "took memory from all databases; without the option "
				 "\"where\", a private server is made for it",
				 verification->key,
				 size_text(verification->description->database_bytes)));
}

static char *
seconds_text(int64 milliseconds)
{
	return psprintf("%.3f", (double) milliseconds / 1000);
}

/*
 * Under which settings the restore was as fast as it was.
 */
static const char *
settings_in_words(const Verification *verification)
{
	return verification->in_server ? verification->proof->settings
								   : "this server";
}

static void
record_outcome(Verification *verification)
{
	TaskContext *context = verification->context;
	const Comparison *comparison = &verification->comparison;
	int64 milliseconds = verification->restore.milliseconds;
	LedgerScope scope;

	if (verification->backup_id > 0)
	{
		ledger_begin(&scope, context->extension);
		record_verification(verification->backup_id, context->run_id,
							verification->refusal, milliseconds);
		ledger_commit(&scope);
	}
	leave_word_if_possible(verification);
	if (verification->refusal != NULL)
	{
		context->failure =
			psprintf("not restorable: %s", verification->refusal);
		context->failure_state = ERRCODE_DATA_CORRUPTED;
		add_task_finding(context, "critical", verification->key,
						 psprintf("backup %s on storage \"%s\" is not "
								  "restorable: %s",
								  verification->key, verification->storage,
								  verification->refusal));
		return;
	}
	if (strcmp(verification->description->kind, "globals") == 0)
	{
		context->result = psprintf(
			"{\"bytes\": %lld}", (long long) verification->description->bytes);
		return;
	}
	tell_what_was_left_out(verification);
	if (!verification->in_server)
		tell_what_it_cost(verification);
	context->result = psprintf(
		"{\"settings\": \"%s\", \"server_seconds\": %s, "
		"\"restore_seconds\": %.3f, \"comparison_seconds\": %.3f, "
		"\"check_seconds\": %s, \"bytes_per_second\": %lld, "
		"\"tables\": %lld, \"rows\": %lld, \"indexes\": %lld, "
		"\"constraints\": %lld, \"sequences\": %lld, "
		"\"checked_indexes\": %s, \"left_out\": %d, \"verifications\": %d}",
		settings_in_words(verification),
		verification->in_server
			? seconds_text(verification->proof->milliseconds)
			: "null",
		(double) milliseconds / 1000, (double) comparison->milliseconds / 1000,
		comparison->checked_indexes < 0
			? "null"
			: seconds_text(comparison->check_milliseconds),
		(long long) (verification->description->dump_bytes * 1000 /
					 Max(milliseconds, 1)),
		(long long) comparison->tables, (long long) comparison->rows,
		(long long) comparison->indexes, (long long) comparison->constraints,
		(long long) comparison->sequences,
		comparison->checked_indexes < 0
			? "null"
			: psprintf("%lld", (long long) comparison->checked_indexes),
		list_length(verification->preparation.choice.left_out),
		list_length(verification->questioning.answers));
}

void
carry_out_verification(TaskContext *context)
{
	Verification verification = {.context = context};
	Oid caller = GetUserId(); /* a ledger scope has another user */
	LedgerScope scope;

	verification.backup_id = evidence_number(context->task, "backup_id", 0);
	verification.storage = evidence_text(context->task, "storage");
	verification.key = evidence_text(context->task, "key");
	if (!look_ahead(&verification))
		return;
	if (verification.refusal == NULL &&
		strcmp(verification.description->kind, "database") == 0)
	{
		ledger_begin(&scope, context->extension);
		if (verification.in_server)
			verification.proof =
				note_proof(context->task->task_id, min_free(context));
		else
			verification.scratch =
				note_scratch(context->task->task_id, caller, true);
		ledger_commit(&scope);
		if (!verification.in_server)
			create_scratch(verification.scratch, verification.description);
		restore(&verification);
		if (verification.refusal == NULL)
			compare(&verification);
		if (verification.refusal == NULL)
			ask(&verification);
	}
	/* first: what could not be removed is removed later */
	record_outcome(&verification);
	clean_up_verification(context, NULL);
}

void
clean_up_verification(TaskContext *context, const char *sqlstate)
{
	end_proofs_of_task(context->task->task_id, context->extension);
	drop_scratches_of_task(context);
}
