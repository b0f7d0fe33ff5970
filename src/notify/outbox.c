/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The rows of pgmaint.notifications.
 *
 * The caller is inside a ledger scope, and is the only process that sends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/locks.h"
#include "ledger/findings.h"
#include "notify/address.h"
#include "notify/outbox.h"

/* number of contacts that get a message at the same time */
#define CONTACTS_AT_ONCE 32

/* number of failed attempts that causes a finding */
#define ATTEMPTS_UNTIL_FINDING 3

/* the limit of NOTIFY, less a margin */
#define MAX_CHANNEL_PAYLOAD 7900

/*
 * The oldest message to each contact, where it is due.  Messages that a
 * session has locked are left for the next time.
 */
#define DUE_NOTIFICATIONS                                                           \
	"SELECT o.notification_id FROM pgmaint.notifications o "                        \
	"JOIN (SELECT DISTINCT ON (n.contact) n.notification_id "                       \
	"FROM pgmaint.notifications n JOIN pgmaint.contacts c "                         \
	"ON c.name = n.contact WHERE n.state IN ('pending', 'failed') "                 \
	"AND n.identity IN (SELECT i.identity FROM pgmaint_internal.own_identities i) " \
	"AND (n.kind = 'suspended' OR c.identity IN (SELECT i.identity "                \
	"FROM pgmaint_internal.own_identities i)) "                                     \
	"ORDER BY n.contact, n.notification_id) f "                                     \
	"ON f.notification_id = o.notification_id "                                     \
	"WHERE o.next_attempt <= pg_catalog.clock_timestamp() "                         \
	"ORDER BY o.next_attempt LIMIT $1 FOR NO KEY UPDATE OF o SKIP LOCKED"

/*
 * Add new findings to alerts, resolve alerts, and write messages to contacts.
 * One process does so at a time.
 */
void
queue_notifications(void)
{
	static const char *const commands[] = {
		"SELECT pgmaint_internal.note_alerts()",
		"SELECT pgmaint_internal.resolve_alerts()",
		"SELECT pgmaint_internal.weigh_alerts()",
		"SELECT pgmaint_internal.queue_alerts()",
		"SELECT pgmaint_internal.queue_windows()",
		"SELECT pgmaint_internal.queue_suspensions()",
		"SELECT pgmaint_internal.give_up_dropped_contacts()",
	};

	lock_in_transaction(LOCK_ALERTS, true);
	for (int i = 0; i < (int) lengthof(commands); i++)
	{
		LedgerQuery query = {0};

		(void) ledger_query_once(&query, commands[i]);
	}
}

/*
 * Make unsent messages due now.
 */
void
reset_backoff(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(
		&query,
		"UPDATE pgmaint.notifications SET next_attempt = pg_catalog.clock_timestamp() "
		"WHERE state IN ('failed', 'pending') AND identity IN ("
		"SELECT i.identity FROM pgmaint_internal.own_identities i)");
}

/*
 * Claim the messages that are due: the time of the next attempt is recorded
 * before a message is sent, since the process may be killed.
 *
 * The next attempt is a minute after the first, then after twice as long each
 * time, up to an hour.  A random factor keeps many messages from being sent at
 * the same time.
 *
 * A channel gets the payload without its lists where it would be too long.
 * The list "alerts" is left out first: receivers that know only version 0.2
 * read the list "troubles".
 */
List *
claim_notifications(void)
{
	LedgerQuery query = {0};
	List *claimed = NIL;
	uint64 rows;

	bind_integer(&query, CONTACTS_AT_ONCE);
	bind_integer(&query, MAX_CHANNEL_PAYLOAD);
	rows = ledger_query(
		&query,
		"WITH due AS (" DUE_NOTIFICATIONS ") "
		"UPDATE pgmaint.notifications n SET attempts = n.attempts + 1, "
		"next_attempt = pg_catalog.clock_timestamp() + least('1 hour'::pg_catalog.interval, "
		"'1 minute'::pg_catalog.interval * pg_catalog.power(2, least(n.attempts, 10))) "
		"* (0.75 + 0.5 * pg_catalog.random()) "
		"FROM due d, pgmaint.contacts c "
		"WHERE d.notification_id = n.notification_id AND c.name = n.contact "
		"RETURNING n.notification_id, n.message_id, n.contact, c.address, c.server, "
		"c.added_by, n.severity, n.subject, n.body, n.payload, "
		"(CASE WHEN pg_catalog.octet_length(n.payload::pg_catalog.text) <= $2 "
		"THEN n.payload "
		"WHEN pg_catalog.octet_length((n.payload - 'alerts')::pg_catalog.text) <= $2 "
		"THEN n.payload - 'alerts' "
		"ELSE n.payload - 'alerts' - 'troubles' - 'plans' END)::pg_catalog.text AS channel_payload");
	for (uint64 row = 0; row < rows; row++)
	{
		Notification *notification = palloc(sizeof(Notification));

		notification->notification_id = named_bigint(row, "notification_id");
		notification->message_id = named_text(row, "message_id");
		notification->contact = named_text(row, "contact");
		notification->address = named_text(row, "address");
		notification->server = named_text(row, "server");
		notification->added_by = named_text(row, "added_by");
		notification->severity = named_text(row, "severity");
		notification->subject = named_text(row, "subject");
		notification->body = named_text(row, "body");
		notification->payload = named_text(row, "payload");
		notification->channel_payload = named_text(row, "channel_payload");
		claimed = lappend(claimed, notification);
	}
	return claimed;
}

bool
notifications_are_due(void)
{
	LedgerQuery query = {0};

	bind_integer(&query, 1);
	return ledger_query(&query, DUE_NOTIFICATIONS) > 0;
}

/*
 * May there be findings, alerts, messages or windows to process?
 */
bool
escalation_is_due(void)
{
	LedgerQuery query = {0};

	(void) ledger_query(&query, "SELECT pgmaint_internal.escalation_due()");
	return ledger_boolean(0, 1);
}

void
note_sent(const Notification *notification)
{
	LedgerQuery query = {0};

	bind_bigint(&query, notification->notification_id);
	(void) ledger_query(
		&query,
		"UPDATE pgmaint.notifications SET state = 'sent', error = NULL, next_attempt = NULL, "
		"sent_at = pg_catalog.clock_timestamp() WHERE notification_id = $1");
}

/*
 * A contact that cannot be reached causes a separate alert, of which other
 * contacts are notified.
 */
void
note_not_sent(const Notification *notification, const char *error,
			  int64 run_id)
{
	LedgerQuery query = {0};

	bind_bigint(&query, notification->notification_id);
	bind_text(&query, error);
	bind_integer(&query, ATTEMPTS_UNTIL_FINDING);
	if (ledger_query(
			&query,
			"UPDATE pgmaint.notifications SET error = $2, "
			"state = CASE WHEN x.late THEN 'given up' ELSE 'failed' END, "
			"next_attempt = CASE WHEN NOT x.late THEN next_attempt END "
			"FROM (SELECT n.created_at < pg_catalog.clock_timestamp() "
			"- '3 days'::pg_catalog.interval AS late FROM pgmaint.notifications n "
			"WHERE n.notification_id = $1) x WHERE notification_id = $1 "
			"RETURNING attempts = $3 OR x.late, x.late") == 0 ||
		!ledger_boolean(0, 1))
		return;
	add_finding(run_id, 0, 0, "delivery", "warning", notification->contact,
				psprintf("contact \"%s\" cannot be reached: %s%s; see "
						 "pgmaint.notifications",
						 notification->contact, error,
						 ledger_boolean(0, 2)
							 ? "; messages older than 3 days are given up"
							 : ""),
				NULL);
}

/*
 * NOTIFY delivers when the transaction commits.
 */
void
send_to_channel(const Notification *notification)
{
	LedgerQuery query = {0};

	bind_text(&query, notification->address + strlen(CHANNEL_PREFIX));
	bind_text(&query, notification->channel_payload);
	(void) ledger_query(&query, "SELECT pg_catalog.pg_notify($1, $2)");
}
