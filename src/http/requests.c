/*-------------------------------------------------------------------------
 *
 * requests.c
 *	  HTTP requests from a backend: several at a time, and interruptible.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "http/client.h"

/*
 * Begin a transfer.  The caller must call http_finish() for it.
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
						errmsg("could not start an HTTP request: %s",
							   curl_multi_strerror(result))));
	client_drive(client, CURL_SOCKET_TIMEOUT, 0);
	return transfer;
}

/*
 * Wait until a further transfer has ended, at most for so many milliseconds.
 * With 0, process everything that needs no waiting.
 */
void
http_wait(HttpClient *client, long timeout)
{
	TimestampTz until = GetCurrentTimestamp() + (TimestampTz) timeout * 1000;

	while (!client->news)
		if (!client_step(client, until) && until <= GetCurrentTimestamp())
			break;
	client->news = false;
}

/*
 * Has a transfer ended?
 */
bool
http_done(const HttpTransfer *transfer)
{
	return transfer->done;
}

/*
 * Take received data of a streamed body, waiting for at least one byte. 0 at
 * the end: http_finish() returns how the transfer ended.
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
			client_step(transfer->client, DT_NOEND);
	}
}

/*
 * Return how a transfer ended, in the current memory context, and release it.
 * A transfer that has not ended is aborted. response may be NULL.
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
 * Process transfers for so many milliseconds.
 */
void
http_sleep(HttpClient *client, long milliseconds)
{
	TimestampTz until =
		GetCurrentTimestamp() + (TimestampTz) milliseconds * 1000;

	while (GetCurrentTimestamp() < until)
		client_step(client, until);
}

/*
 * Wait for one transfer, and finish it.  A transfer whose wait was interrupted
 * before is aborted first.
 */
void
http_await(HttpTransfer *transfer, HttpResponse *response)
{
	HttpClient *client = transfer->client;

	if (client->awaited != NULL)
		http_finish(client->awaited, NULL);
	client->awaited = transfer;
	while (!transfer->done)
		client_step(client, DT_NOEND);
	http_finish(transfer, response);
}

/*
 * Send a request, and wait for its answer.
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
