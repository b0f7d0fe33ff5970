/*-------------------------------------------------------------------------
 *
 * http.c
 *	  HTTP requests from a backend: several at a time, and interruptible.
 *
 * libcurl does the talking, through its multi interface.  What it waits for
 * goes into a WaitEventSet together with the process's latch and the death of
 * the postmaster, so that a request ends as soon as the statement is
 * cancelled, whatever the server at the other end does.
 *
 * libcurl's callbacks must not raise an ERROR: they note what happened, and
 * it is raised here afterwards.  Everything that libcurl holds is released by
 * a callback of the client's memory context, so callers need no PG_TRY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
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
	bool timed;			  /* libcurl wants to be called at ... */
	TimestampTz deadline; /* ... this time */
	HttpSocket sockets[MAX_SOCKETS];
	int socket_count;
	bool sockets_changed;
	WaitEventSet *events;
	List *transfers;	   /* of HttpTransfer */
	HttpTransfer *awaited; /* by http_await */
	bool news;			   /* a transfer is over */
};

/*
 * libcurl starts threads to resolve names.  They must not get the signals of
 * this process, so none is delivered while they may be started.
 */
static void
block_signals(sigset_t *previous)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, previous);
}

static void
unblock_signals(const sigset_t *previous)
{
	pthread_sigmask(SIG_SETMASK, previous, NULL);
}

/*
 * libcurl says which sockets it waits for.
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
 * ... and for how long.
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
 * The client's memory goes.  Its transfers are part of that memory.
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
 * Make a client in the current memory context.
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
						errmsg("could not prepare a client for HTTP")));
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
 * Note which transfers are over.
 */
static void
note_results(HttpClient *client)
{
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
		client->news = true;
	}
}

static void
drive(HttpClient *client, curl_socket_t fd, int events)
{
	sigset_t previous;
	CURLMcode result;
	int running;

	block_signals(&previous);
	result = curl_multi_socket_action(client->multi, fd, events, &running);
	unblock_signals(&previous);
	if (result != CURLM_OK)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not go on with requests over HTTP: %s",
							   curl_multi_strerror(result))));
}

/*
 * The sockets stay the same for most of a transfer, and so does the set.
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
 * Count the time that was waited in vain, for each transfer, and give up those
 * where it is too long.  Time that was spent elsewhere is nobody's fault.
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
 * How long to wait at most, in milliseconds; -1 if for ever.
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
 * Wait until something happens, and let libcurl do what is to be done about it.
 * False if nothing did.
 */
static bool
step(HttpClient *client, TimestampTz until)
{
	TimestampTz begun = GetCurrentTimestamp();
	WaitEvent events[MAX_SOCKETS];
	int count;

	CHECK_FOR_INTERRUPTS();
	renew_events(client);
	count =
		WaitEventSetWait(client->events, time_to_wait(client, begun, until),
						 events, lengthof(events), PG_WAIT_EXTENSION);
	for (int i = 0; i < count; i++)
	{
		if ((events[i].events & WL_LATCH_SET) != 0)
			ResetLatch(MyLatch);
		if ((events[i].events & WL_SOCKET_MASK) != 0)
			drive(client, events[i].fd,
				  ((events[i].events & WL_SOCKET_READABLE) ? CURL_CSELECT_IN
														   : 0) |
					  ((events[i].events & WL_SOCKET_WRITEABLE)
						   ? CURL_CSELECT_OUT
						   : 0));
	}
	if (client->timed && client->deadline <= GetCurrentTimestamp())
	{
		client->timed = false;
		drive(client, CURL_SOCKET_TIMEOUT, 0);
		count++;
	}
	note_results(client);
	note_stalls(client, GetCurrentTimestamp() - begun);
	return count > 0;
}

/*
 * Begin a transfer.  Whoever does so calls http_finish for it.
 */
HttpTransfer *
http_start(HttpClient *client, const HttpRequest *request)
{
	MemoryContext previous = MemoryContextSwitchTo(client->context);
	HttpTransfer *transfer = palloc0(sizeof(HttpTransfer));
	CURLMcode result;

	transfer->client = client;
	client->transfers = lappend(client->transfers, transfer);
	MemoryContextSwitchTo(previous);
	transfer_prepare(transfer, request);
	result = curl_multi_add_handle(client->multi, transfer->easy);
	if (result != CURLM_OK)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not start a request over HTTP: %s",
							   curl_multi_strerror(result))));
	drive(client, CURL_SOCKET_TIMEOUT, 0);
	return transfer;
}

/*
 * Wait until a transfer is over that was not before, for so many milliseconds
 * at most.  With 0 everything is done that can be done at once.
 */
void
http_wait(HttpClient *client, long timeout)
{
	TimestampTz until = GetCurrentTimestamp() + (TimestampTz) timeout * 1000;

	while (!client->news)
		if (!step(client, until) && until <= GetCurrentTimestamp())
			break;
	client->news = false;
}

/*
 * Whether a transfer is over.
 */
bool
http_done(const HttpTransfer *transfer)
{
	return transfer->done;
}

/*
 * Take what has come of a streamed body, waiting for at least one byte.  0 when
 * it is over: http_finish says how.
 */
size_t
http_read(HttpTransfer *transfer, char *buffer, size_t size)
{
	Assert(transfer->streamed);
	for (;;)
	{
		int status = http_status(transfer);

		if (status >= 200 && status < 300 &&
			transfer->body.length > transfer->taken)
			return transfer_take(transfer, buffer, size);
		if (transfer->done)
			return 0;
		if (transfer->paused)
		{
			transfer->paused = false;
			curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
		}
		else
			step(transfer->client, DT_NOEND);
	}
}

/*
 * Say how a transfer ended, in the current memory context, and let it go.  One
 * that has not ended is given up; without a response, nobody wants to know.
 */
void
http_finish(HttpTransfer *transfer, HttpResponse *response)
{
	HttpClient *client = transfer->client;
	sigset_t previous;

	if (response != NULL)
	{
		if (!transfer->done)
			transfer->result = CURLE_ABORTED_BY_CALLBACK;
		transfer_answer(transfer, response);
	}
	client->transfers = list_delete_ptr(client->transfers, transfer);
	if (client->awaited == transfer)
		client->awaited = NULL;
	block_signals(&previous);
	curl_multi_remove_handle(client->multi, transfer->easy);
	transfer_release(transfer);
	unblock_signals(&previous);
	pfree(transfer);
}

/*
 * Let transfers go on for so many milliseconds.
 */
void
http_sleep(HttpClient *client, long milliseconds)
{
	TimestampTz until =
		GetCurrentTimestamp() + (TimestampTz) milliseconds * 1000;

	while (GetCurrentTimestamp() < until)
		step(client, until);
}

/*
 * Wait for one transfer, and finish it.  One that was waited for before, by
 * somebody who was interrupted, is given up first.
 */
void
http_await(HttpTransfer *transfer, HttpResponse *response)
{
	HttpClient *client = transfer->client;

	if (client->awaited != NULL)
		http_finish(client->awaited, NULL);
	client->awaited = transfer;
	while (!transfer->done)
		step(client, DT_NOEND);
	http_finish(transfer, response);
}

/*
 * A request and its answer.
 */
void
http_perform(HttpClient *client, const HttpRequest *request,
			 HttpResponse *response)
{
	http_await(http_start(client, request), response);
}

/*
 * The value of a header, by its name in lower case; NULL if there is none.
 */
const char *
http_header(const HttpResponse *response, const char *name)
{
	ListCell *cell;

	foreach (cell, response->headers)
	{
		const HttpHeader *header = lfirst(cell);

		if (strcmp(header->name, name) == 0)
			return header->value;
	}
	return NULL;
}
