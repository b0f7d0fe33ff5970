/*-------------------------------------------------------------------------
 *
 * escalate.c
 *	  The action "escalate": notifies contacts of alerts.
 *
 * A contact that cannot be reached does not make the task fail: it causes a
 * separate alert.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "action/action.h"
#include "action/result.h"
#include "base/wording.h"
#include "notify/followup.h"

/* maximum time that slow receivers may delay a run */
#define SECONDS_FOR_MESSAGES 15

static const ActionOption options[] = {
	PLAIN_OPTION("retry", OPTION_BOOLEAN, "false",
				 "send messages at once that could not be sent before"),
	END_OF_OPTIONS};

static void
plan_escalate(PlanContext *context)
{
	PlannedTask *task = palloc0(sizeof(PlannedTask));

	task->action = "escalate";
	task->target = pstrdup(quote_identifier(get_database_name(MyDatabaseId)));
	task->command = "notify contacts of alerts";
	task->reason = "findings of severity warning and critical are alerts "
				   "until they are resolved";
	task->bytes = -1;
	context->tasks = list_make1(task);
}

/*
 * The numbers of contacts and of unresolved alerts, as the rest of a JSON
 * object.  The key "troubles" of version 0.2 is kept for one version.
 */
static char *
count_contacts(Oid extension)
{
	LedgerQuery query = {0};
	LedgerScope scope;
	int64 contacts;
	int64 alerts;

	ledger_begin(&scope, extension);
	(void) ledger_query(
		&query,
		"SELECT (SELECT pg_catalog.count(*) FROM pgmaint.contacts), "
		"(SELECT pg_catalog.count(*) FROM pgmaint_internal.alert_records a WHERE a.resolved_at IS NULL)");
	contacts = ledger_bigint(0, 1);
	alerts = ledger_bigint(0, 2);
	ledger_commit(&scope);
	return psprintf(
		", \"contacts\": %lld, \"alerts\": %lld, \"troubles\": %lld}",
		(long long) contacts, (long long) alerts, (long long) alerts);
}

static void
tell_contacts(TaskContext *context)
{
	FollowUp work = {0};

	work.extension = context->extension;
	work.run_id = context->run_id;
	work.retry = option_boolean(options, context->options, "retry");
	work.seconds = SECONDS_FOR_MESSAGES;
	follow_up(&work);
	context->result =
		psprintf("{\"sent\": %d, \"failed\": %d%s%s%s", work.sent, work.failed,
				 work.held_up ? ", \"held_up\": true" : "",
				 work.left_to_others ? ", \"left_to_others\": true" : "",
				 count_contacts(context->extension));
}

static char *
describe_messages(const ClaimedTask *task, Jsonb *result)
{
	StringInfoData words;
	int64 alerts = result_number(result, "alerts");
	int64 sent = result_number(result, "sent");
	int64 failed = result_number(result, "failed");

	initStringInfo(&words);
	add_phrase(&words, alerts == 0
						   ? "no open alerts"
						   : counted(alerts, "open alert", "open alerts"));
	if (result_number(result, "contacts") == 0)
		add_phrase(&words, "no contacts defined");
	else if (result_flag(result, "left_to_others"))
		add_phrase(&words, "another process is sending the messages");
	else if (sent == 0 && failed == 0)
		add_phrase(&words, "no messages to send");
	else
		add_phrase(&words,
				   psprintf("%s sent", counted(sent, "message", "messages")));
	if (failed > 0)
		add_phrase(&words,
				   psprintf("%s could not be sent", count_text(failed)));
	if (result_flag(result, "held_up"))
		add_phrase(&words,
				   "new findings were not evaluated: could not obtain lock");
	return words.data;
}

DEFINE_ACTION(escalate) = {
	.name = "escalate",
	.description =
		"notify contacts of alerts, level by level, until they are resolved or acknowledged",
	.options = options,
	.plan = plan_escalate,
	.outside = tell_contacts,
	.describe = describe_messages,
	.shown_as = SHOWN_WITH_STEP,
};
