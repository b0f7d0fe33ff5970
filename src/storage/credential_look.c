/*-------------------------------------------------------------------------
 *
 * credential_look.c
 *	  Functions that the sources of access keys share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "storage/credential_look.h"

/* keys need no more bytes */
#define ANSWER_LIMIT ((size_t) 64 * 1024)

/* a service that cannot answer now is asked again, after 0.1 and 0.2 seconds */
#define ATTEMPTS 3
#define FIRST_PAUSE 100

/*
 * Overwrite a secret that is no longer needed.
 */
void
forget_secret(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
}

static LookResult set_reason(Look *look, LookResult result, const char *format,
							 va_list arguments) pg_attribute_printf(3, 0);

static LookResult
set_reason(Look *look, LookResult result, const char *format,
		   va_list arguments)
{
	char text[1024];

	pvsnprintf(text, sizeof(text), format, arguments);
	look->said = pstrdup(text);
	return result;
}

/*
 * The source has no access key.
 */
LookResult
absent(Look *look, const char *format, ...)
{
	va_list arguments;
	LookResult result;

	va_start(arguments, format);
	result = set_reason(look, LOOK_ABSENT, format, arguments);
	va_end(arguments);
	return result;
}

/*
 * The source should have an access key, but cannot provide it.
 */
LookResult
broken(Look *look, const char *format, ...)
{
	va_list arguments;
	LookResult result;

	va_start(arguments, format);
	result = set_reason(look, LOOK_BROKEN, format, arguments);
	va_end(arguments);
	return result;
}

/*
 * Parse a number of this many digits, and the character that must follow it.
 */
static bool
take_number(const char **text, int digits, char follower, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++)
	{
		char digit = *(*text)++;

		if (digit < '0' || digit > '9')
			return false;
		*number = *number * 10 + (digit - '0');
	}
	return follower == '\0' || *(*text)++ == follower;
}

/*
 * Parse a time such as "2030-01-31T12:00:00Z", with an optional fraction, as
 * all services of AWS write it.
 */
static bool
parse_expiration(const char *text, TimestampTz *result)
{
	int year;
	int month;
	int day;
	int hour;
	int minute;
	int second;

	if (!take_number(&text, 4, '-', &year) ||
		!take_number(&text, 2, '-', &month) ||
		!take_number(&text, 2, 'T', &day) ||
		!take_number(&text, 2, ':', &hour) ||
		!take_number(&text, 2, ':', &minute) ||
		!take_number(&text, 2, '\0', &second) || year < 2000 || month < 1 ||
		month > MONTHS_PER_YEAR || day < 1 || day > 31 || hour > 23 ||
		minute > 59 || second > 60)
		return false;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
		return false;
	*result =
		(date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY +
		hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE +
		second * USECS_PER_SEC;
	return true;
}

/*
 * A temporary access key was found.
 */
LookResult
found_until(Look *look, const char *expiration)
{
	if (look->found.access_key_id == NULL ||
		look->found.secret_access_key == NULL ||
		look->found.session_token == NULL)
		return broken(look, "the answer does not contain an access key, its "
							"secret and a token");
	if (expiration == NULL)
		look->found.expires = DT_NOEND;
	else if (!parse_expiration(expiration, &look->found.expires))
		return broken(look, "the answer contains an invalid expiration time");
	else if (look->found.expires <= GetCurrentTimestamp())
		return broken(look,
					  "the answer contains an access key that expired at %s",
					  timestamptz_to_str(look->found.expires));
	return LOOK_FOUND;
}

/*
 * Another server answered in place of the service, such as a proxy or a
 * captive portal.
 */
LookResult
not_from_service(Look *look, const char *url, const HttpResponse *response)
{
	const char *type = http_header(response, "content-type");

	return broken(
		look,
		"the answer from %s is not from a credentials service (content type "
		"%s)",
		url, type != NULL ? type : "unknown");
}

/*
 * Send a request to a service that provides access keys.
 */
void
ask_endpoint(const Look *look, const HttpRequest *request,
			 HttpResponse *response)
{
	HttpRequest limited = *request;

	limited.body_limit = ANSWER_LIMIT;
	for (int attempt = 0;; attempt++)
	{
		http_perform(look->client, &limited, response);
		if (response->status == 0 || !response->retryable ||
			attempt == ATTEMPTS - 1)
			break;
		http_sleep(look->client, FIRST_PAUSE << attempt);
	}
}
