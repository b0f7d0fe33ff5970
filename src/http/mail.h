/*-------------------------------------------------------------------------
 *
 * mail.h
 *	  A transfer that sends a mail to an SMTP server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGMAINT_HTTP_MAIL_H
#define PGMAINT_HTTP_MAIL_H

#include <curl/curl.h>

#include "http/http.h"

typedef struct MailUpload
{
	struct curl_slist *recipients; /* released with the transfer */
	const char *rest;			   /* the part that is not sent yet */
	size_t length;
} MailUpload;

extern bool set_mail(CURL *easy, MailUpload *upload,
					 const HttpRequest *request);

#endif /* PGMAINT_HTTP_MAIL_H */
