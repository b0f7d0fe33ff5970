/*-------------------------------------------------------------------------
 *
 * relay.h
 *	  The options of a relay's foreign server and user mapping.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_RELAY_H
#define PGMAINT_NOTIFY_RELAY_H

#define RELAY_WRAPPER "pgmaint_relay"

typedef struct Relay
{
	/* options of the server; NULL where they are not set */
	char *url;	  /* of an SMTP server; NULL: for webhooks */
	char *sender; /* of mail */
	char *ca_file;
	int timeout; /* milliseconds */

	/* options of the user mapping; NULL where they are not set */
	char *username;
	char *password;
	char *secret; /* to sign with */
	char *token;
	char *path; /* of a webhook */
} Relay;

/* returns why the role cannot use the relay, or NULL */
extern char *read_relay(const char *name, Oid role, Relay *relay);

#endif /* PGMAINT_NOTIFY_RELAY_H */
