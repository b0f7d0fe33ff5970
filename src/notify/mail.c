/*-------------------------------------------------------------------------
 *
 * mail.c
 *	  A notification as a mail: RFC 5322, its text quoted-printable.
 *
 * Names of objects may contain any character.  In a header they are encoded,
 * so that a line break in a name cannot begin a header.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"

#include "notify/address.h"
#include "notify/message.h"

/* maximum length of an encoded word in a header, and of a line of the text */
#define WORD_LENGTH 60
#define LINE_LENGTH 72

static const char hex[] = "0123456789ABCDEF";

static void
append_encoded(StringInfo target, unsigned char byte)
{
	appendStringInfoChar(target, '=');
	appendStringInfoChar(target, hex[byte >> 4]);
	appendStringInfoChar(target, hex[byte & 0xf]);
}

/*
 * Append text as encoded words (RFC 2047), which break between characters.
 */
static void
append_header_text(StringInfo target, const char *text)
{
	bool open = false;
	int length = 0;

	while (*text != '\0')
	{
		int bytes = pg_utf_mblen((const unsigned char *) text);

		bytes = (int) strnlen(text, bytes);
		if (open && length + 3 * bytes > WORD_LENGTH)
		{
			appendStringInfoString(target, "?=\r\n ");
			open = false;
		}
		if (!open)
		{
			appendStringInfoString(target, "=?UTF-8?Q?");
			open = true;
			length = 0;
		}
		for (int i = 0; i < bytes; i++, text++)
		{
			unsigned char byte = (unsigned char) *text;

			if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
				(byte >= 'a' && byte <= 'z'))
				appendStringInfoChar(target, (char) byte);
			else if (byte == ' ')
				appendStringInfoChar(target, '_');
			else
				append_encoded(target, byte < ' ' ? ' ' : byte);
			length += 3;
		}
	}
	if (open)
		appendStringInfoString(target, "?=");
}

/*
 * Can the text be in a header without encoding?
 */
static bool
is_plain(const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c < ' ' || *c >= 0x7f || (c[0] == '=' && c[1] == '?'))
			return false;
	}
	return strlen(text) <= LINE_LENGTH;
}

/*
 * Append text as quoted-printable (RFC 2045).
 */
static void
append_body(StringInfo target, const char *text)
{
	int length = 0;

	for (const char *c = text; *c != '\0'; c++)
	{
		unsigned char byte = (unsigned char) *c;
		bool last = c[1] == '\n' || c[1] == '\0';

		if (byte == '\n')
		{
			appendStringInfoString(target, "\r\n");
			length = 0;
			continue;
		}
		if (length >= LINE_LENGTH)
		{
			appendStringInfoString(target, "=\r\n");
			length = 0;
		}
		if (byte < ' ' || byte >= 0x7f || byte == '=' || (byte == ' ' && last))
		{
			append_encoded(target, byte);
			length += 3;
		}
		else
		{
			appendStringInfoChar(target, (char) byte);
			length++;
		}
	}
	appendStringInfoString(target, "\r\n");
}

void
word_mail(const Notification *notification, const Relay *relay,
		  HttpRequest *request)
{
	pg_time_t now = (pg_time_t) time(NULL);
	const char *subject = utf8_text(notification->subject);
	HttpMail *mail = palloc0(sizeof(HttpMail));
	StringInfoData message;
	char date[64];

	mail->from = relay->sender;
	mail->to = notification->address + strlen(MAIL_PREFIX);
	mail->user = relay->username;
	mail->password = relay->password;
	mail->encrypted = !leads_to_this_machine(relay->url);

	pg_strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000",
				pg_gmtime(&now));
	initStringInfo(&message);
	appendStringInfo(&message,
					 "Date: %s\r\nFrom: pgmaint <%s>\r\nTo: <%s>\r\n", date,
					 mail->from, mail->to);
	appendStringInfo(&message, "Message-ID: <%s@%s>\r\nSubject: ",
					 notification->message_id, strchr(mail->from, '@') + 1);
	if (is_plain(subject))
		appendStringInfoString(&message, subject);
	else
		append_header_text(&message, subject);
	appendStringInfoString(&message,
						   "\r\nAuto-Submitted: auto-generated\r\n"
						   "MIME-Version: 1.0\r\n"
						   "Content-Type: text/plain; charset=UTF-8\r\n"
						   "Content-Transfer-Encoding: quoted-printable\r\n");
	if (notification->severity != NULL &&
		strcmp(notification->severity, "critical") == 0)
		appendStringInfoString(&message, "Importance: high\r\n");
	appendStringInfoString(&message, "\r\n");
	append_body(&message, utf8_text(notification->body));

	request->url = relay->url;
	request->mail = mail;
	request->body = message.data;
	request->body_length = message.len;
}
