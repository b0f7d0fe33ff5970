/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests from a backend: several at a time, and interruptible.  Mail
 *	  goes the same way.
 *
 * The room http: requests over HTTP and mails, through libcurl; it knows
 * nothing of what they are for.
 *
 * A client keeps connections for the requests that follow.  It lives in the
 * memory context in which it was made, and everything it holds goes with it:
 * nobody needs a PG_TRY for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HTTP_H
#define PGMAINT_HTTP_H

#include "nodes/pg_list.h"

typedef struct HttpClient HttpClient;
typedef struct HttpTransfer HttpTransfer;

typedef struct HttpHeader
{
	const char *name; /* in lower case where the server sent it */
	const char *value;
} HttpHeader;

/* what makes a request a mail, which is its body; its url begins with smtp */
typedef struct HttpMail
{
	const char *from; /* addresses, without angle brackets */
	const char *to;
	const char *user; /* NULL for none */
	const char *password;
	bool encrypted; /* refuse to go on without TLS */
} HttpMail;

typedef struct HttpRequest
{
	const char *method; /* not of a mail */
	const char *url;
	List *headers;	  /* of HttpHeader */
	const char *body; /* must stay until the transfer is over; may be NULL */
	size_t body_length;
	const char *ca_file; /* NULL for the system's */
	int connect_timeout; /* milliseconds; 0: no limit, as for the next two */
	int stall_timeout;	 /* seconds of waiting without a byte either way */
	int timeout;		 /* milliseconds for all of it */
	size_t body_limit;	 /* more than this in an answer is an error */
	bool streamed;		 /* the body of a success is taken by http_read */
	bool once;			 /* a connection that breaks must be told of */
	const HttpMail *mail;
} HttpRequest;

typedef struct HttpResponse
{
	int status;		/* 0 when there was no complete answer; see error */
	char *error;	/* what went wrong, in words; NULL if nothing did */
	bool retryable; /* the same request may succeed later */
	List *headers;	/* of HttpHeader */
	char *body;		/* ends with a zero byte that is not counted */
	size_t length;
} HttpResponse;

extern HttpClient *http_client_create(void);
extern HttpTransfer *http_start(HttpClient *client,
								const HttpRequest *request);
extern void http_wait(HttpClient *client, long timeout);
extern bool http_done(const HttpTransfer *transfer);
extern void http_sleep(HttpClient *client, long milliseconds);
extern size_t http_read(HttpTransfer *transfer, char *buffer, size_t size);
extern int http_status(const HttpTransfer *transfer);
extern void http_finish(HttpTransfer *transfer, HttpResponse *response);
extern void http_await(HttpTransfer *transfer, HttpResponse *response);
extern void http_perform(HttpClient *client, const HttpRequest *request,
						 HttpResponse *response);
extern const char *http_header(const HttpResponse *response, const char *name);

#endif /* PGMAINT_HTTP_H */
