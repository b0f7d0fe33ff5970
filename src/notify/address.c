/*-------------------------------------------------------------------------
 *
 * address.c
 *	  The addresses of contacts.
 *
 * Addresses are in a table that many roles may read.  So they contain no user
 * names, passwords or queries, and error messages do not repeat rejected
 * addresses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "notify/address.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* the maximum length by RFC 5321 */
#define MAX_MAIL_ADDRESS 254

AddressKind
address_kind(const char *address)
{
	if (strncmp(address, "https://", 8) == 0 ||
		strncmp(address, "http://", 7) == 0)
		return ADDRESS_WEBHOOK;
	if (strncmp(address, MAIL_PREFIX, strlen(MAIL_PREFIX)) == 0)
		return ADDRESS_MAIL;
	if (strncmp(address, CHANNEL_PREFIX, strlen(CHANNEL_PREFIX)) == 0)
		return ADDRESS_CHANNEL;
	return ADDRESS_UNKNOWN;
}

/*
 * Skip "host" or "host:port"; NULL if there is neither.  The host may be an
 * IPv6 address in brackets.
 */
static const char *
skip_host(const char *text)
{
	size_t length;

	if (*text == '[')
	{
		length = strspn(text + 1, DIGITS "abcdefABCDEF:.");
		if (length == 0 || text[length + 1] != ']')
			return NULL;
		text += length + 2;
	}
	else
	{
		length = strspn(text, LETTERS DIGITS "_-.");
		if (length == 0)
			return NULL;
		text += length;
	}
	if (*text == ':')
	{
		length = strspn(text + 1, DIGITS);
		if (length == 0 || length > 5 || strtol(text + 1, NULL, 10) > 65535)
			return NULL;
		text += 1 + length;
	}
	return text;
}

/*
 * Is the host of a URL this machine?
 */
bool
leads_to_this_machine(const char *url)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = strstr(url, "://");

	for (int i = 0; host != NULL && i < (int) lengthof(names); i++)
	{
		size_t length = strlen(names[i]);

		if (pg_strncasecmp(host + 3, names[i], length) == 0 &&
			(host[3 + length] == '\0' || host[3 + length] == ':' ||
			 host[3 + length] == '/'))
			return true;
	}
	return false;
}

/*
 * Is it smtp:// or smtps:// with a host, and optionally a port?
 */
bool
is_relay_url(const char *url)
{
	const char *rest = NULL;

	if (strncmp(url, "smtp://", 7) == 0)
		rest = skip_host(url + 7);
	else if (strncmp(url, "smtps://", 8) == 0)
		rest = skip_host(url + 8);
	return rest != NULL && *rest == '\0';
}

/*
 * Is it name@host, without characters that need quoting?
 */
bool
is_mail_address(const char *text)
{
	size_t local = strspn(text, LETTERS DIGITS ".!#$%&'*+/=?^_`{|}~-");
	size_t domain;

	if (local == 0 || text[local] != '@' || text[0] == '-' ||
		strlen(text) > MAX_MAIL_ADDRESS)
		return false;
	domain = strspn(text + local + 1, LETTERS DIGITS ".-");
	return domain > 0 && text[local + 1 + domain] == '\0';
}

static char *
webhook_complaint(const char *address)
{
	const char *host = strstr(address, "://") + 3;
	const char *path = skip_host(host);

	if (memchr(host, '@', strcspn(host, "/")) != NULL)
		return "The URL contains a user name; set a token or a secret with "
			   "CREATE USER MAPPING instead.";
	if (path == NULL || (*path != '\0' && *path != '/'))
		return "After https:// the URL needs a host name, and optionally a "
			   "port.";
	if (strpbrk(path, "?#") != NULL)
		return "The URL contains a query; set a secret path with CREATE USER "
			   "MAPPING instead.";
	for (const char *c = path; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7f || strchr("\"<>\\^`{|}", *c) != NULL)
			return "The path contains a character that is not allowed in a "
				   "URL.";
	}
	if (address[4] == ':' && !leads_to_this_machine(address))
		return "A webhook without TLS must be on localhost.";
	return NULL;
}

static char *
channel_complaint(const char *channel)
{
	if (channel[0] == '\0' || strlen(channel) >= NAMEDATALEN)
		return "The name of a channel must have 1 to 63 bytes.";
	return NULL;
}

/*
 * The error in an address, as a sentence; NULL if it is valid.
 */
char *
address_complaint(const char *address)
{
	switch (address_kind(address))
	{
		case ADDRESS_WEBHOOK:
			return webhook_complaint(address);
		case ADDRESS_MAIL:
			return is_mail_address(address + strlen(MAIL_PREFIX))
					   ? NULL
					   : "After mailto: one mail address is needed, such as "
						 "dba@example.com.";
		case ADDRESS_CHANNEL:
			return channel_complaint(address + strlen(CHANNEL_PREFIX));
		case ADDRESS_UNKNOWN:
			break;
	}
	return "The address must begin with https://, mailto: or notify:.";
}
