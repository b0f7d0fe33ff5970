/*-------------------------------------------------------------------------
 *
 * followup.c
 *	  Updating alerts, and notifying contacts of them.
 *
 * Messages are written in the transaction in which an alert changes its state,
 * and sent afterwards, outside of any transaction.  One message to each
 * contact is sent at the same time, so that no contact waits for another; the
 * outcome of each is recorded as soon as it is known.  If the process is
 * killed in between, the message is sent again, under the same id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/locks.h"
#include "base/subtransaction.h"
#include "base/settings.h"
#include "notify/address.h"
#include "notify/followup.h"
#include "notify/message.h"

/* milliseconds for a connection */
#define CONNECT_TIMEOUT (10 * 1000)

/* maximum size of an answer, which is not used */
#define ANSWER_LIMIT ((size_t) 64 * 1024)

typedef struct Delivery
{
	const Notification *notification;
	HttpRequest request;
	HttpTransfer *transfer; /* NULL: there is none, or it is over */
} Delivery;

/*
 * Begin a transaction with lock_timeout, so that locks of other sessions on
 * rows do not block a run that notifies contacts.
 */
static void
begin_with_lock_timeout(const FollowUp *work, LedgerScope *scope)
{
	ledger_begin(scope, work->extension);
	set_for_transaction("lock_timeout", psprintf("%d", work->lock_timeout));
}

static void
count_failure(FollowUp *work, const Notification *notification,
			  const char *error)
{
	note_not_sent(notification, error, work->run_id);
	work->failed++;
}

/*
 * Make a request of a notification; false where that fails, or is not needed.
 */
static bool
prepare_delivery(FollowUp *work, Delivery *delivery)
{
	const Notification *notification = delivery->notification;
	Oid role = get_role_oid(notification->added_by, true);
	char *problem = NULL;
	Relay relay = {0};

	if (address_kind(notification->address) == ADDRESS_CHANNEL)
	{
		send_to_channel(notification);
		note_sent(notification);
		work->sent++;
		return false;
	}
	if (!OidIsValid(role))
		problem = psprintf("role \"%s\", which added the contact, does not "
						   "exist",
						   notification->added_by);
	else
		problem = read_relay(notification->server, role, &relay);
	if (problem == NULL &&
		address_kind(notification->address) == ADDRESS_MAIL &&
		relay.url == NULL)
		problem = psprintf("server \"%s\" is not a relay for mail",
						   notification->server);
	if (problem != NULL)
	{
		count_failure(work, notification, problem);
		return false;
	}
	if (address_kind(notification->address) == ADDRESS_MAIL)
		word_mail(notification, &relay, &delivery->request);
	else
		word_webhook(notification, &relay, &delivery->request);
	delivery->request.ca_file = relay.ca_file;
	delivery->request.connect_timeout = Min(CONNECT_TIMEOUT, relay.timeout);
	delivery->request.timeout = relay.timeout;
	delivery->request.body_limit = ANSWER_LIMIT;
	delivery->request.once = true;
	return true;
}

/*
 * The error of a delivery; NULL for success.  The content of an answer is not
 * repeated, since it may contain what was sent.
 */
static char *
failure_of(const Delivery *delivery, const HttpResponse *response)
{
	if (response->error != NULL)
		return response->error;
	if (delivery->request.mail != NULL)
		return NULL;
	if (response->status >= 200 && response->status < 300)
		return NULL;
	if (response->status >= 300 && response->status < 400)
		return psprintf("the webhook answered with status %d, a redirect, "
						"which is not followed",
						response->status);
	return psprintf("the webhook answered with status %d", response->status);
}

static void
finish_delivery(FollowUp *work, Delivery *delivery)
{
	LedgerScope scope;
	HttpResponse response;
	char *failure;

	http_finish(delivery->transfer, &response);
	delivery->transfer = NULL;
	failure = failure_of(delivery, &response);
	begin_with_lock_timeout(work, &scope);
	if (failure != NULL)
		count_failure(work, delivery->notification, failure);
	else
	{
		note_sent(delivery->notification);
		work->sent++;
	}
	ledger_commit(&scope);
}

/*
 * Send one message to each contact that has one due.  False when there was
 * none.
 */
static bool
deliver_some(FollowUp *work, HttpClient *client)
{
	LedgerScope scope;
	List *notifications;
	Delivery *deliveries;
	ListCell *cell;
	int count = 0;
	int going_on;

	begin_with_lock_timeout(work, &scope);
	notifications = claim_notifications();
	deliveries = palloc0(sizeof(Delivery) * (list_length(notifications) + 1));
	ledger_commit(&scope);
	if (notifications == NIL)
		return false;

	begin_with_lock_timeout(work, &scope);
	foreach (cell, notifications)
	{
		deliveries[count].notification = lfirst(cell);
		if (prepare_delivery(work, &deliveries[count]))
			count++;
		else
			memset(&deliveries[count], 0, sizeof(Delivery));
	}
	ledger_commit(&scope);

	for (int i = 0; i < count; i++)
		deliveries[i].transfer = http_start(client, &deliveries[i].request);
	do
	{
		going_on = 0;
		for (int i = 0; i < count; i++)
		{
			if (deliveries[i].transfer == NULL)
				continue;
			if (http_done(deliveries[i].transfer))
				finish_delivery(work, &deliveries[i]);
			else
				going_on++;
		}
		if (going_on > 0)
			http_wait(client, 1000);
	} while (going_on > 0);
	return true;
}

/*
 * The same in a separate memory context, which holds connections and keys.
 */
static bool
deliver_some_and_forget(FollowUp *work)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "pgmaint delivery",
												  ALLOCSET_DEFAULT_SIZES);
	volatile bool some = false;

	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		some = deliver_some(work, http_client_create());
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	PG_END_TRY();
	return some;
}

/*
 * Send the messages that are due, until the time limit.
 */
static void
deliver_until(FollowUp *work, TimestampTz until)
{
	while (GetCurrentTimestamp() < until && deliver_some_and_forget(work))
		CHECK_FOR_INTERRUPTS();
}

/*
 * The same; releases the lock of the sending process at the end.
 */
static void
deliver(FollowUp *work, TimestampTz until)
{
	PG_TRY();
	{
		deliver_until(work, until);
	}
	PG_CATCH();
	{
		release_engine_lock(LOCK_DELIVERY, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	release_engine_lock(LOCK_DELIVERY, true);
}

/*
 * Are there messages to send, also from other processes?
 */
static bool
anything_due(const FollowUp *work)
{
	LedgerScope scope;
	bool due;

	begin_with_lock_timeout(work, &scope);
	due = notifications_are_due();
	ledger_commit(&scope);
	return due;
}

static void
update_alerts(void *argument)
{
	const FollowUp *work = argument;

	queue_notifications();
	if (work->retry)
		reset_backoff();
}

/*
 * Write the messages.  If a lock is not available, that is left for the next
 * time, and messages that were written before are sent.
 */
static void
write_messages(FollowUp *work)
{
	LedgerScope scope;
	ErrorData *error;

	begin_with_lock_timeout(work, &scope);
	error = try_in_subtransaction(update_alerts, work);
	work->held_up =
		error != NULL && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	if (error != NULL && !work->held_up)
		ReThrowError(error);
	ledger_commit(&scope);
}

/*
 * Update alerts, write messages about them, and send these; outside of any
 * transaction.
 *
 * Only one process sends at a time.  After it has released the lock, it looks
 * for messages again, since other processes that found the lock taken rely on
 * it.
 */
void
follow_up(FollowUp *work)
{
	TimestampTz until = GetCurrentTimestamp() + work->seconds * USECS_PER_SEC;

	work->lock_timeout = LockTimeout;
	write_messages(work);
	pgstat_report_activity(STATE_RUNNING,
						   "pgmaint: sending messages to contacts");
	do
	{
		work->left_to_others = !hold_engine_lock(LOCK_DELIVERY, true, false);
		if (work->left_to_others)
			break;
		deliver(work, until);
	} while (GetCurrentTimestamp() < until && anything_due(work));
	pgstat_report_activity(STATE_IDLE, NULL);
}
