/*-------------------------------------------------------------------------
 *
 * relay.h
 *	  What a relay's foreign server and user mapping say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_NOTIFY_RELAY_H
#define PGMAINT_NOTIFY_RELAY_H

#define RELAY_WRAPPER "pgmaint_relay"

typedef struct Relay
{
	/* of the server; NULL where it has none */
	char *url;	  /* of an SMTP server; NULL: for webhooks */
	char *sender; /* of mail */
	char *ca_file;
	int timeout; /* milliseconds */

	/* of the user mapping; NULL where it has none */
	char *username;
	char *password;
	char *secret; /* to sign with */
	char *token;
	char *path; /* of a webhook */
} Relay;

/* what is in the way of a role that uses it, or NULL */
extern char *read_relay(const char *name, Oid role, Relay *relay);

#endif /* PGMAINT_NOTIFY_RELAY_H */
