/*-------------------------------------------------------------------------
 *
 * client.h
 *	  The event loop for the transfers of a client, for requests.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HTTP_CLIENT_H
#define PGMAINT_HTTP_CLIENT_H

#include <signal.h>

#include "storage/latch.h"

#include "http/transfer.h"

/* each may try two addresses at the same time */
#define MAX_CONNECTIONS 64
#define MAX_SOCKETS (2 * MAX_CONNECTIONS)

typedef struct HttpSocket
{
	curl_socket_t fd;
	int wanted; /* CURL_POLL_... */
} HttpSocket;

struct HttpClient
{
	MemoryContext context;
	MemoryContextCallback release;
	CURLM *multi;
	bool timed; /* libcurl must be called at deadline */
	TimestampTz deadline;
	HttpSocket sockets[MAX_SOCKETS];
	int socket_count;
	bool sockets_changed;
	WaitEventSet *events;
	List *transfers;	   /* of HttpTransfer */
	HttpTransfer *awaited; /* by http_await */
	bool news;			   /* a transfer has ended */
};

extern void block_signals(sigset_t *previous);
extern void unblock_signals(const sigset_t *previous);
extern void client_drive(HttpClient *client, curl_socket_t fd, int events);
extern bool client_step(HttpClient *client, TimestampTz until);

#endif /* PGMAINT_HTTP_CLIENT_H */
