/*-------------------------------------------------------------------------
 *
 * message.h
 *	  Notifications as requests to a webhook or to an SMTP server.
 *
 * The room notify: notifying contacts of alerts: contacts, the action
 * "escalate", messages and their delivery.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_MESSAGE_H
#define PGMAINT_NOTIFY_MESSAGE_H

#include "http/http.h"
#include "notify/outbox.h"
#include "notify/relay.h"

extern char *utf8_text(const char *text);
extern void word_webhook(const Notification *notification, const Relay *relay,
						 HttpRequest *request);
extern void word_mail(const Notification *notification, const Relay *relay,
					  HttpRequest *request);

#endif /* PGMAINT_NOTIFY_MESSAGE_H */
