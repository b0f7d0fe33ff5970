/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  One request and its answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "http/transfer.h"

/* maximum size of the headers, more than supported servers send */
#define HEAD_LIMIT ((size_t) 256 * 1024)

/*
 * maximum size of received data of a streamed body that http_read has not
 * taken
 */
#define STREAM_LIMIT ((size_t) 512 * 1024)

/* sizes of libcurl's buffers */
#define RECEIVE_BUFFER (128L * 1024)
#define SEND_BUFFER (256L * 1024)

/*
 * Append without raising an ERROR; false when there is no memory.
 */
static bool
append_bytes(Bytes *bytes, const char *data, size_t length)
{
	/* room for a zero byte at the end */
	if (bytes->length + length + 1 > bytes->size)
	{
		size_t size = Max(bytes->size * 2, bytes->length + length + 1);
		char *grown = realloc(bytes->data, size);

		if (grown == NULL)
			return false;
		bytes->data = grown;
		bytes->size = size;
	}
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
	bytes->data[bytes->length] = '\0';
	return true;
}

static bool
is_success(const HttpTransfer *transfer)
{
	int status = http_status(transfer);

	return status >= 200 && status < 300;
}

/*
 * Called by libcurl for each line of the headers.  An interim answer is
 * followed by further headers.
 */
static size_t
receive_head(char *data, size_t one, size_t length, void *arg)
{
	HttpTransfer *transfer = arg;

	if (length >= 5 && memcmp(data, "HTTP/", 5) == 0)
		transfer->head.length = 0;
	if (transfer->head.length + length > HEAD_LIMIT)
	{
		transfer->too_large = true;
		return 0;
	}
	return append_bytes(&transfer->head, data, length) ? length : 0;
}

/*
 * Called by libcurl for each piece of the body.
 */
static size_t
receive_body(char *data, size_t one, size_t length, void *arg)
{
	HttpTransfer *transfer = arg;
	Bytes *body = &transfer->body;

	if (transfer->streamed && is_success(transfer))
	{
		if (transfer->taken == body->length)
			transfer->taken = body->length = 0;
		if (body->length > 0 && body->length + length > STREAM_LIMIT)
		{
			transfer->paused = true;
			return CURL_WRITEFUNC_PAUSE;
		}
	}
	else if (body->length + length > transfer->body_limit)
	{
		transfer->too_large = true;
		return 0;
	}
	return append_bytes(body, data, length) ? length : 0;
}

/*
 * The server counts the open files of its processes, and closes some of its
 * own to stay below the limit.  Child processes must not inherit the
 * connections.
 */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	curl_socket_t fd;

	if (!AcquireExternalFD())
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
				address->protocol);
	if (fd < 0)
	{
		ReleaseExternalFD();
		return CURL_SOCKET_BAD;
	}
	return fd;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
	ReleaseExternalFD();
	return close(fd);
}

#define SET(option, value) \
	(curl_easy_setopt(transfer->easy, CURLOPT_##option, value) == CURLE_OK)

static bool
add_header(HttpTransfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->header_list, line);

	if (longer == NULL)
		return false;
	transfer->header_list = longer;
	return true;
}

static bool
set_headers(HttpTransfer *transfer, const List *headers)
{
	ListCell *cell;

	/* libcurl would ask first whether the server wants a large body */
	if (!add_header(transfer, "Expect:"))
		return false;
	foreach (cell, headers)
	{
		const HttpHeader *header = lfirst(cell);
		/* libcurl takes "name;" for a header without a value */
		char *line = header->value[0] != '\0'
						 ? psprintf("%s: %s", header->name, header->value)
						 : psprintf("%s;", header->name);
		bool added = add_header(transfer, line);

		pfree(line);
		if (!added)
			return false;
	}
	return SET(HTTPHEADER, transfer->header_list) &&
		   SET(USERAGENT, "pgmaint/" PGMAINT_VERSION);
}

/*
 * A body is sent as by libcurl's POST, whatever the method is: it is not
 * copied, and can be sent again on another connection.
 */
static bool
set_method(HttpTransfer *transfer, const HttpRequest *request)
{
	if (strcmp(request->method, "HEAD") == 0)
		return SET(NOBODY, 1L);
	if (request->body != NULL)
		return SET(POSTFIELDSIZE_LARGE, (curl_off_t) request->body_length) &&
			   SET(POSTFIELDS, request->body) &&
			   SET(CUSTOMREQUEST, request->method);
	return SET(HTTPGET, 1L) && SET(CUSTOMREQUEST, request->method);
}

/*
 * Connect only to the requested server: no redirects, and no proxy from the
 * environment in which the server was started.
 */
static bool
set_limits(HttpTransfer *transfer, const HttpRequest *request)
{
	return SET(NOSIGNAL, 1L) && SET(PATH_AS_IS, 1L) && SET(PROXY, "") &&
#if LIBCURL_VERSION_NUM >= 0x075500
		   SET(PROTOCOLS_STR,
			   request->mail != NULL ? "smtp,smtps" : "http,https") &&
#else
		   SET(PROTOCOLS, request->mail != NULL
							  ? (long) (CURLPROTO_SMTP | CURLPROTO_SMTPS)
							  : (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS)) &&
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
		   /* a transfer that is aborted does not wait for a name server */
		   SET(QUICK_EXIT, 1L) &&
#endif
		   SET(HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) &&
		   SET(SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) &&
		   (request->ca_file == NULL ||
			(SET(CAINFO, request->ca_file) && SET(CAPATH, NULL))) &&
		   SET(CONNECTTIMEOUT_MS, (long) request->connect_timeout) &&
		   SET(TIMEOUT_MS, (long) request->timeout) &&
		   /*
		    * libcurl would send the request again if a reused connection
		    * breaks
		    */
		   SET(FRESH_CONNECT, request->once ? 1L : 0L) &&
		   SET(TCP_KEEPALIVE, 1L) && SET(BUFFERSIZE, RECEIVE_BUFFER) &&
		   SET(UPLOAD_BUFFERSIZE, SEND_BUFFER);
}

static bool
set_callbacks(HttpTransfer *transfer)
{
	return SET(PRIVATE, transfer) && SET(ERRORBUFFER, transfer->message) &&
		   SET(HEADERFUNCTION, receive_head) && SET(HEADERDATA, transfer) &&
		   SET(WRITEFUNCTION, receive_body) && SET(WRITEDATA, transfer) &&
		   SET(OPENSOCKETFUNCTION, open_socket) &&
		   SET(CLOSESOCKETFUNCTION, close_socket);
}

/*
 * The owner of the foreign server chooses the file. libcurl would wait for the
 * other end of a FIFO, where no interrupt is processed, and read a device for
 * ever.
 */
static void
check_ca_file(const char *path)
{
	struct stat status;

	if (path != NULL && stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a regular file", path),
						errdetail("A file with the certificates of trusted "
								  "authorities is expected.")));
}

/*
 * Create the libcurl handle of a transfer.  The transfer is already in the
 * list of its client, so that an ERROR leaves nothing behind.
 */
void
transfer_prepare(HttpTransfer *transfer, const HttpRequest *request)
{
	check_ca_file(request->ca_file);
	transfer->easy = curl_easy_init();
	transfer->stall_timeout = request->stall_timeout;
	transfer->body_limit = request->body_limit;
	transfer->streamed = request->streamed;
	/* the error does not contain the URL, which may contain a key */
	if (transfer->easy == NULL || !set_callbacks(transfer) ||
		!set_limits(transfer, request) || !SET(URL, request->url) ||
		!(request->mail != NULL
			  ? set_mail(transfer->easy, &transfer->mail, request)
			  : set_method(transfer, request) &&
					set_headers(transfer, request->headers)))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not prepare a request to a remote server")));
}

/*
 * Copy received data of a body.
 */
size_t
transfer_take(HttpTransfer *transfer, char *buffer, size_t size)
{
	Bytes *body = &transfer->body;
	size_t length = Min(size, body->length - transfer->taken);

	memcpy(buffer, body->data + transfer->taken, length);
	transfer->taken += length;
	if (transfer->taken == body->length)
		transfer->taken = body->length = 0;
	return length;
}

/*
 * Number of bytes that were sent and received.
 */
int64
transfer_moved(const HttpTransfer *transfer)
{
	curl_off_t sent = 0;
	curl_off_t received = 0;
	long head = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &head);
	return sent + received + head;
}

/*
 * The status of the answer; 0 before it is received.
 */
int
http_status(const HttpTransfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int) status;
}

/*
 * Is it a failure that is not caused by the request?
 */
static bool
may_pass(CURLcode result)
{
	switch (result)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_OPERATION_TIMEDOUT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_GOT_NOTHING:
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_PARTIAL_FILE:
		case CURLE_WEIRD_SERVER_REPLY:
			return true;
		default:
			return false;
	}
}

static char *
failure_in_words(const HttpTransfer *transfer)
{
	if (transfer->stalled)
		return psprintf("no data was sent or received for %d s",
						transfer->stall_timeout);
	if (transfer->too_large)
		return psprintf("the answer is larger than %zu bytes",
						transfer->body_limit);
	if (transfer->message[0] != '\0')
		return pstrdup(transfer->message);
	return pstrdup(curl_easy_strerror(transfer->result));
}

/*
 * Parse the "Name: value" lines after the status line.
 */
static List *
parse_head(const Bytes *head)
{
	List *headers = NIL;
	const char *line = head->data;

	while (line != NULL && (line = strchr(line, '\n')) != NULL)
	{
		const char *colon;
		const char *end;
		HttpHeader *header;
		char *name;

		line++;
		colon = strchr(line, ':');
		end = line + strcspn(line, "\r\n");
		if (colon == NULL || colon > end)
			continue;
		name = pnstrdup(line, colon - line);
		for (char *c = name; *c != '\0'; c++)
			*c = (char) pg_ascii_tolower((unsigned char) *c);
		do
			colon++;
		while (*colon == ' ' || *colon == '\t');
		while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		header = palloc(sizeof(HttpHeader));
		header->name = name;
		header->value = pnstrdup(colon, end > colon ? end - colon : 0);
		/* values go into messages, where bytes of no encoding must not be */
		for (char *c = unconstify(char *, header->value); *c != '\0'; c++)
			if (*c < ' ' || *c > '~')
				*c = '?';
		headers = lappend(headers, header);
	}
	return headers;
}

/*
 * The answer of a transfer that has ended.
 */
void
transfer_answer(const HttpTransfer *transfer, HttpResponse *response)
{
	size_t length = transfer->body.length - transfer->taken;

	memset(response, 0, sizeof(HttpResponse));
	response->headers = parse_head(&transfer->head);
	response->body = palloc(length + 1);
	if (length > 0)
		memcpy(response->body, transfer->body.data + transfer->taken, length);
	response->body[length] = '\0';
	response->length = length;
	if (transfer->result == CURLE_OK)
	{
		response->status = http_status(transfer);
		response->retryable = response->status >= 500 ||
							  response->status == 408 ||
							  response->status == 429;
	}
	else
	{
		response->error = failure_in_words(transfer);
		response->retryable = transfer->stalled || may_pass(transfer->result);
	}
}

/*
 * Free the memory that palloc does not manage, at any stage; the multi handle
 * no longer has the transfer.
 */
void
transfer_release(HttpTransfer *transfer)
{
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->header_list);
	curl_slist_free_all(transfer->mail.recipients);
	free(transfer->head.data);
	free(transfer->body.data);
}
