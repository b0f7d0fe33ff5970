/*-------------------------------------------------------------------------
 *
 * mail.c
 *	  A transfer that sends a mail to an SMTP server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http/mail.h"

#define SET(option, value) \
	(curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)

/*
 * Called by libcurl for the next piece of the mail.
 */
static size_t
send_mail(char *buffer, size_t one, size_t size, void *arg)
{
	MailUpload *upload = arg;
	size_t length = Min(one * size, upload->length);

	memcpy(buffer, upload->rest, length);
	upload->rest += length;
	upload->length -= length;
	return length;
}

/*
 * The lines of the mail end in carriage return and line feed. libcurl doubles
 * dots at their beginning.
 */
bool
set_mail(CURL *easy, MailUpload *upload, const HttpRequest *request)
{
	const HttpMail *mail = request->mail;
	char *from = psprintf("<%s>", mail->from);
	char *to = psprintf("<%s>", mail->to);
	bool done;

	upload->recipients = curl_slist_append(NULL, to);
	upload->rest = request->body;
	upload->length = request->body_length;
	done = upload->recipients != NULL && SET(MAIL_RCPT, upload->recipients) &&
		   SET(MAIL_FROM, from) && SET(UPLOAD, 1L) &&
		   SET(READFUNCTION, send_mail) && SET(READDATA, upload) &&
		   SET(INFILESIZE_LARGE, (curl_off_t) request->body_length) &&
		   SET(USE_SSL, mail->encrypted ? (long) CURLUSESSL_ALL
										: (long) CURLUSESSL_TRY) &&
		   (mail->user == NULL ||
			(SET(USERNAME, mail->user) && SET(PASSWORD, mail->password)));
	pfree(from);
	pfree(to);
	return done;
}
