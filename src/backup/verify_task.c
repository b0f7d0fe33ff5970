/*-------------------------------------------------------------------------
 *
 * verify_task.c
 *	  Execution of tasks of the action "verify_backup".
 *
 * The backup is restored into a private server, or into a database of this
 * server, as a role that has rights only there, compared with its manifest,
 * and removed again.  Only errors that are the fault of the backup make it
 * "not restorable".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"

#include "action/evidence.h"
#include "backup/code_settings.h"
#include "backup/restoring.h"
#include "backup/verification.h"
#include "backup/verify_task.h"

static int64
min_free(const TaskContext *context)
{
	return option_bytes(context->action->options, context->options,
						"min_free");
}

/*
 * All checks that are possible before anything is created.  Returns false when
 * the task has ended.
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
	verification->refusal =
		verify_object_size(storage, verification->description);
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
 * Start the private server, and set the logins into it.
 */
static void
prepare_in_server(Verification *verification)
{
	Preparation *preparation = &verification->preparation;
	Proof *proof = verification->proof;

	pgstat_report_activity(STATE_RUNNING, "starting a private server");
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
	preparation->login->settings =
		session_settings_for_code(verification->description);
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
	preparation->settings =
		restoring_settings(context->options, verification->description);
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
 * In a separate transaction: settings that code in the dump made for the role
 * must be removed, and committed, before the sessions begin.
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
 * Execute the queries of users.  Answers are committed before an ERROR is
 * raised for unanswered queries.
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
	/*
	 * before the cleanup: what cannot be removed now is removed by a later run
	 */
	record_outcome(&verification);
	clean_up_verification(context, NULL);
}

void
clean_up_verification(TaskContext *context, const char *sqlstate)
{
	end_proofs_of_task(context->task->task_id, context->extension);
	drop_scratches_of_task(context);
}
