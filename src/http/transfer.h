/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  One request and its answer, for client.c and requests.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HTTP_TRANSFER_H
#define PGMAINT_HTTP_TRANSFER_H

#include "datatype/timestamp.h"

#include "http/mail.h"

/* bytes in memory of malloc, since callbacks must not palloc */
typedef struct Bytes
{
	char *data;
	size_t length;
	size_t size;
} Bytes;

struct HttpTransfer
{
	HttpClient *client;
	CURL *easy;
	struct curl_slist *header_list;
	MailUpload mail;
	char message[CURL_ERROR_SIZE];
	CURLcode result;
	bool done;
	bool paused;
	bool too_large;
	bool stalled;
	bool streamed;
	int stall_timeout;
	size_t body_limit;
	int64 idle;	 /* microseconds of waiting without a byte */
	int64 moved; /* bytes, up to then */
	Bytes head;
	Bytes body;
	size_t taken; /* of the body, by http_read */
};

extern void transfer_prepare(HttpTransfer *transfer,
							 const HttpRequest *request);
extern size_t transfer_take(HttpTransfer *transfer, char *buffer, size_t size);
extern int64 transfer_moved(const HttpTransfer *transfer);
extern void transfer_answer(const HttpTransfer *transfer,
							HttpResponse *response);
extern void transfer_release(HttpTransfer *transfer);

#endif /* PGMAINT_HTTP_TRANSFER_H */
