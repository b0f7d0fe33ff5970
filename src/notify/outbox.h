/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The rows of pgmaint.notifications.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_OUTBOX_H
#define PGMAINT_NOTIFY_OUTBOX_H

#include "nodes/pg_list.h"

#include "ledger/ledger.h"

typedef struct Notification
{
	int64 notification_id;
	char *message_id;
	char *contact;
	char *address;
	char *server; /* NULL for none */
	char *added_by;
	char *severity; /* NULL for none */
	char *subject;
	char *body;
	char *payload;
	char *channel_payload; /* the payload, shortened to the limit of NOTIFY */
} Notification;

/* all functions are called inside a ledger scope */
extern void queue_notifications(void);
extern void reset_backoff(void);
extern List *claim_notifications(void);
extern bool notifications_are_due(void);
extern bool escalation_is_due(void);
extern void note_sent(const Notification *notification);
extern void note_not_sent(const Notification *notification, const char *error,
						  int64 run_id);
extern void send_to_channel(const Notification *notification);

#endif /* PGMAINT_NOTIFY_OUTBOX_H */
