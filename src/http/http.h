/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests from a backend: several at a time, and interruptible.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HTTP_H
#define PGMAINT_HTTP_H

#include "nodes/pg_list.h"
#include "utils/palloc.h"

typedef struct HttpClient HttpClient;
typedef struct HttpTransfer HttpTransfer;

typedef struct HttpHeader
{
	char *name; /* in lower case where the server sent it */
	char *value;
} HttpHeader;

typedef struct HttpRequest
{
	const char *method;
	const char *url;
	List *headers;	  /* of HttpHeader */
	const char *body; /* must stay until the transfer is over; may be NULL */
	size_t body_length;
	const char *ca_file;  /* NULL for the system's */
	int connect_timeout;  /* milliseconds */
	int stall_timeout;	  /* seconds with less than 1 kB/s */
	size_t body_limit;	  /* more than this in an answer is an error */
} HttpRequest;

typedef struct HttpResponse
{
	int status;	  /* 0 when there was no complete answer; see error */
	char *error;  /* what went wrong, in words; NULL if nothing did */
	bool retryable; /* the same request may succeed later */
	List *headers; /* of HttpHeader */
	char *body;	   /* ends with a zero byte that is not counted */
	size_t length;
} HttpResponse;

/*
 * Takes up a piece of an answer's body, outside of libcurl, where an ERROR may
 * be raised.
 */
typedef void (*HttpReceiver)(void *context, const char *data, size_t length);

extern HttpClient *http_client_create(void);
extern void http_client_destroy(HttpClient *client);
extern HttpTransfer *http_start(HttpClient *client,
								const HttpRequest *request,
								HttpReceiver receiver, void *context);
extern HttpTransfer *http_wait_any(HttpClient *client);
extern void http_finish(HttpTransfer *transfer, HttpResponse *response);
extern void http_perform(HttpClient *client, const HttpRequest *request,
						 HttpReceiver receiver, void *context,
						 HttpResponse *response);
extern const char *http_header(const HttpResponse *response, const char *name);

#endif /* PGMAINT_HTTP_H */
