/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP requests and mails from a backend: several at a time, and
 *	  interruptible.
 *
 * The room http: requests over HTTP and mails are sent through libcurl; the
 * room does not know their purpose.
 *
 * A client keeps connections for later requests.  It lives in the memory
 * context in which it was created, which releases everything that it holds:
 * callers need no PG_TRY.
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

/*
 * present if the request is a mail: its url begins with smtp, and its body is
 * the mail
 */
typedef struct HttpMail
{
	const char *from; /* addresses, without angle brackets */
	const char *to;
	const char *user; /* NULL for none */
	const char *password;
	bool encrypted; /* fail without TLS */
} HttpMail;

typedef struct HttpRequest
{
	const char *method; /* not used for mail */
	const char *url;
	List *headers; /* of HttpHeader */
	const char
		*body; /* must exist until the transfer has ended; may be NULL */
	size_t body_length;
	const char *ca_file; /* NULL for the system's */
	int connect_timeout; /* milliseconds; 0: no limit, as for the next two */
	int stall_timeout;	 /* seconds of waiting without a byte either way */
	int timeout;		 /* milliseconds for the whole transfer */
	size_t body_limit;	 /* more than this in an answer is an error */
	bool streamed;		 /* http_read takes the body of a success */
	bool once;			 /* a broken connection is an error, not retried */
	const HttpMail *mail;
} HttpRequest;

typedef struct HttpResponse
{
	int status;		/* 0 when there was no complete answer; see error */
	char *error;	/* a description of the error, or NULL */
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
