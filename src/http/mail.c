/*-------------------------------------------------------------------------
 *
 * mail.c
 *	  A transfer that hands a mail to an SMTP server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http/transfer.h"

#define SET(option, value) \
	(curl_easy_setopt(transfer->easy, CURLOPT_##option, value) == CURLE_OK)

/*
 * libcurl has room for a piece of the mail.
 */
static size_t
send_mail(char *buffer, size_t one, size_t size, void *arg)
{
	HttpTransfer *transfer = arg;
	size_t length = Min(one * size, transfer->mail_length);

	memcpy(buffer, transfer->mail, length);
	transfer->mail += length;
	transfer->mail_length -= length;
	return length;
}

/*
 * The mail's lines end in carriage return and line feed.  Dots at their
 * beginning are libcurl's to double.
 */
bool
set_mail(HttpTransfer *transfer, const HttpRequest *request)
{
	const HttpMail *mail = request->mail;
	char *from = psprintf("<%s>", mail->from);
	char *to = psprintf("<%s>", mail->to);
	bool done;

	transfer->recipients = curl_slist_append(NULL, to);
	transfer->mail = request->body;
	transfer->mail_length = request->body_length;
	done = transfer->recipients != NULL &&
		   SET(MAIL_RCPT, transfer->recipients) && SET(MAIL_FROM, from) &&
		   SET(UPLOAD, 1L) && SET(READFUNCTION, send_mail) &&
		   SET(READDATA, transfer) &&
		   SET(INFILESIZE_LARGE, (curl_off_t) request->body_length) &&
		   SET(USE_SSL, mail->encrypted ? (long) CURLUSESSL_ALL
										: (long) CURLUSESSL_TRY) &&
		   (mail->user == NULL ||
			(SET(USERNAME, mail->user) && SET(PASSWORD, mail->password)));
	pfree(from);
	pfree(to);
	return done;
}
