/*-------------------------------------------------------------------------
 *
 * client.c
 *	  The event loop for the transfers of a client.
 *
 * libcurl is used through its multi interface.  Its sockets are put into a
 * WaitEventSet together with the latch of the process and the death of the
 * postmaster, so that a request ends as soon as the statement is cancelled,
 * whatever the remote server does.
 *
 * Callbacks of libcurl must not raise an ERROR: they record what happened, and
 * the ERROR is raised afterwards.  A callback of the client's memory context
 * releases everything that libcurl holds, so callers need no PG_TRY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <pthread.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/giveway.h"
#include "http/client.h"

/*
 * libcurl starts threads to resolve names.  They must not get the signals of
 * this process, so signals are blocked while threads may be started.
 */
void
block_signals(sigset_t *previous)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, previous);
}

void
unblock_signals(const sigset_t *previous)
{
	pthread_sigmask(SIG_SETMASK, previous, NULL);
}

/*
 * Called by libcurl with the sockets that it waits for.
 */
static int
note_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	HttpClient *client = arg;
	int i = 0;

	client->sockets_changed = true;
	while (i < client->socket_count && client->sockets[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE)
	{
		if (i < client->socket_count)
			client->sockets[i] = client->sockets[--client->socket_count];
		return 0;
	}
	if (i == MAX_SOCKETS)
		return -1;
	if (i == client->socket_count)
		client->sockets[client->socket_count++].fd = fd;
	client->sockets[i].wanted = what;
	return 0;
}

/*
 * Called by libcurl with the time that it waits at most.
 */
static int
note_timeout(CURLM *multi, long timeout, void *arg)
{
	HttpClient *client = arg;

	client->timed = timeout >= 0;
	if (client->timed)
		client->deadline =
			GetCurrentTimestamp() + (TimestampTz) timeout * 1000;
	return 0;
}

/*
 * Release a client when its memory context is reset.  Its transfers are in
 * that context.
 */
static void
release_client(void *arg)
{
	HttpClient *client = arg;
	sigset_t previous;
	ListCell *cell;

	block_signals(&previous);
	foreach (cell, client->transfers)
	{
		HttpTransfer *transfer = lfirst(cell);

		curl_multi_remove_handle(client->multi, transfer->easy);
		transfer_release(transfer);
	}
	curl_multi_cleanup(client->multi);
	unblock_signals(&previous);
	if (client->events != NULL)
		FreeWaitEventSet(client->events);
}

/*
 * Create a client in the current memory context.
 */
HttpClient *
http_client_create(void)
{
	static bool initialized = false;
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint http client", ALLOCSET_DEFAULT_SIZES);
	HttpClient *client = MemoryContextAllocZero(context, sizeof(HttpClient));

	if (!initialized && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not initialize libcurl")));
	initialized = true;
	client->context = context;
	client->multi = curl_multi_init();
	if (client->multi == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("could not create an HTTP client")));
	client->release.func = release_client;
	client->release.arg = client;
	MemoryContextRegisterResetCallback(context, &client->release);
	if (curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION,
						  note_socket) != CURLM_OK ||
		curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) !=
			CURLM_OK ||
		curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION,
						  note_timeout) != CURLM_OK ||
		curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) !=
			CURLM_OK ||
		curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
						  (long) MAX_CONNECTIONS) != CURLM_OK)
		elog(ERROR, "libcurl refused its callbacks");
	return client;
}

/*
 * Record which transfers have ended; returns whether any has.
 */
static bool
note_results(HttpClient *client)
{
	bool any = false;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		char *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		((HttpTransfer *) transfer)->result = message->data.result;
		((HttpTransfer *) transfer)->done = true;
		client->news = any = true;
	}
	return any;
}

void
client_drive(HttpClient *client, curl_socket_t fd, int events)
{
	sigset_t previous;
	CURLMcode result;
	int running;

	block_signals(&previous);
	result = curl_multi_socket_action(client->multi, fd, events, &running);
	unblock_signals(&previous);
	if (result != CURLM_OK)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not continue HTTP requests: %s",
							   curl_multi_strerror(result))));
}

/*
 * Build the WaitEventSet again if the sockets have changed, which is rare
 * during a transfer.
 */
static void
renew_events(HttpClient *client)
{
	if (client->events != NULL && !client->sockets_changed)
		return;
	if (client->events != NULL)
		FreeWaitEventSet(client->events);
	client->events = NULL;
	client->events = create_wait_event_set(client->socket_count + 2);
	AddWaitEventToSet(client->events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
					  NULL);
	AddWaitEventToSet(client->events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET,
					  NULL, NULL);
	for (int i = 0; i < client->socket_count; i++)
	{
		const HttpSocket *socket = &client->sockets[i];
		uint32 events = 0;

		if ((socket->wanted & CURL_POLL_IN) != 0)
			events |= WL_SOCKET_READABLE;
		if ((socket->wanted & CURL_POLL_OUT) != 0)
			events |= WL_SOCKET_WRITEABLE;
		if (events != 0)
			AddWaitEventToSet(client->events, events, socket->fd, NULL, NULL);
	}
	client->sockets_changed = false;
}

/*
 * Add the time waited without data to each transfer, and end those that exceed
 * stall_timeout.  Time that was not spent waiting does not count.
 */
static void
note_stalls(HttpClient *client, int64 waited)
{
	ListCell *cell;

	foreach (cell, client->transfers)
	{
		HttpTransfer *transfer = lfirst(cell);
		int64 moved;

		if (transfer->done || transfer->stall_timeout <= 0)
			continue;
		moved = transfer_moved(transfer);
		transfer->idle += waited;
		if (moved != transfer->moved || transfer->paused)
			transfer->idle = 0;
		transfer->moved = moved;
		if (transfer->idle >= transfer->stall_timeout * USECS_PER_SEC)
		{
			curl_multi_remove_handle(client->multi, transfer->easy);
			transfer->result = CURLE_OPERATION_TIMEDOUT;
			transfer->stalled = true;
			transfer->done = true;
			client->news = true;
		}
	}
}

/*
 * The maximum wait in milliseconds; -1 for no limit.
 */
static long
time_to_wait(const HttpClient *client, TimestampTz now, TimestampTz until)
{
	ListCell *cell;

	if (client->timed)
		until = Min(until, client->deadline);
	foreach (cell, client->transfers)
	{
		const HttpTransfer *transfer = lfirst(cell);

		if (!transfer->done && !transfer->paused &&
			transfer->stall_timeout > 0)
			until = Min(until, now - transfer->idle +
								   transfer->stall_timeout * USECS_PER_SEC);
	}
	if (TIMESTAMP_IS_NOEND(until))
		return -1;
	return until <= now ? 0 : (long) Min((until - now + 999) / 1000, INT_MAX);
}

/*
 * Wait for an event, and let libcurl process it.  False if there was none.  A
 * transfer may have ended before: one that was begun or continued on an open
 * connection can end in that call, and then no socket and no timer would end
 * the wait.
 */
bool
client_step(HttpClient *client, TimestampTz until)
{
	TimestampTz begun = GetCurrentTimestamp();
	WaitEvent events[MAX_SOCKETS];
	int count;

	CHECK_FOR_INTERRUPTS();
	give_way_if_due();
	if (note_results(client))
		return true;
	until = Min(until, next_look_for_waiters());
	renew_events(client);
	count =
		WaitEventSetWait(client->events, time_to_wait(client, begun, until),
						 events, lengthof(events), PG_WAIT_EXTENSION);
	for (int i = 0; i < count; i++)
	{
		if ((events[i].events & WL_LATCH_SET) != 0)
			ResetLatch(MyLatch);
		if ((events[i].events & WL_SOCKET_MASK) != 0)
			client_drive(client, events[i].fd,
						 ((events[i].events & WL_SOCKET_READABLE)
							  ? CURL_CSELECT_IN
							  : 0) |
							 ((events[i].events & WL_SOCKET_WRITEABLE)
								  ? CURL_CSELECT_OUT
								  : 0));
	}
	if (client->timed && client->deadline <= GetCurrentTimestamp())
	{
		client->timed = false;
		client_drive(client, CURL_SOCKET_TIMEOUT, 0);
		count++;
	}
	(void) note_results(client);
	note_stalls(client, GetCurrentTimestamp() - begun);
	return count > 0;
}
