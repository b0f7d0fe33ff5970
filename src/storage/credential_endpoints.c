/*-------------------------------------------------------------------------
 *
 * credential_endpoints.c
 *	  Access keys that the environment of a container or of a virtual machine
 *	  provides over HTTP, as JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "storage/credential_look.h"

/* milliseconds; it is near by, or not there */
#define CONNECT_TIMEOUT 1000
#define ANSWER_TIMEOUT 5000

/* of containers on ECS, and of pods on EKS */
#define CONTAINER_ENDPOINT "http://169.254.170.2"
static const char *const container_hosts[] = {
	"localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"};

/* of virtual machines */
#define INSTANCE_ENDPOINT "http://169.254.169.254"
#define INSTANCE_ENDPOINT_6 "http://[fd00:ec2::254]"
#define INSTANCE_KEYS "/latest/meta-data/iam/security-credentials/"

/*
 * Parse JSON; NULL if the text is not JSON.  The error message of the server
 * would show the text, so it is suppressed.
 */
static Jsonb *
parse_json(char *text)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb *volatile result = NULL;

	if (!pg_verifymbstr(text, (int) strlen(text), true))
		return NULL;
	PG_TRY();
	{
		result = DatumGetJsonbP(
			DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return result != NULL && JB_ROOT_IS_OBJECT(result) ? result : NULL;
}

static char *
json_text(Jsonb *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name,
													 (int) strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Take the access key from the answer.
 */
static LookResult
take_keys(Look *look, const char *url, const HttpResponse *response)
{
	Jsonb *answer;
	char *expiration;

	if (response->status == 0)
		return broken(look, "%s: %s", url, response->error);
	if (response->status != 200)
		return broken(look, "%s answered with status %d", url,
					  response->status);
	answer = parse_json(response->body);
	explicit_bzero(response->body, response->length);
	if (answer == NULL)
		return not_from_service(look, url, response);
	look->found.access_key_id = json_text(answer, "AccessKeyId");
	look->found.secret_access_key = json_text(answer, "SecretAccessKey");
	look->found.session_token = json_text(answer, "Token");
	expiration = json_text(answer, "Expiration");
	explicit_bzero(answer, VARSIZE(answer));
	return found_until(look, expiration);
}

/*
 * The name of the host in a URL, without the brackets of an IPv6 address; NULL
 * if the URL contains a user name.
 */
static char *
host_of(const char *url)
{
	const char *host = strstr(url, "://");
	size_t length;

	if (host == NULL)
		return NULL;
	host += 3;
	length = strcspn(host, "/?#\\");
	if (memchr(host, '@', length) != NULL)
		return NULL;
	if (host[0] == '[')
		return pnstrdup(host + 1, strcspn(host + 1, "]"));
	return pnstrdup(host, Min(length, strcspn(host, ":")));
}

/*
 * A container may get its access key without TLS only from itself and from the
 * addresses that AWS assigns to the service.  Any other address may be forged.
 */
static bool
is_trusted_url(const char *url)
{
	struct in_addr address;
	struct in6_addr address6;
	char *host = host_of(url);

	if (host == NULL)
		return false;
	if (pg_strncasecmp(url, "https://", 8) == 0)
		return true;
	if (pg_strncasecmp(url, "http://", 7) != 0)
		return false;
	for (int i = 0; i < lengthof(container_hosts); i++)
	{
		if (pg_strcasecmp(host, container_hosts[i]) == 0)
			return true;
	}
	return (inet_pton(AF_INET, host, &address) == 1 &&
			ntohl(address.s_addr) >> 24 == 127) ||
		   (inet_pton(AF_INET6, host, &address6) == 1 &&
			IN6_IS_ADDR_LOOPBACK(&address6));
}

/*
 * The token with which a container authenticates; NULL with *fine if none is
 * required.
 */
static char *
container_token(Look *look, bool *fine)
{
	const char *path = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char *token = value == NULL ? NULL : pstrdup(value);
	char *problem;

	*fine = false;
	if (path != NULL)
	{
		token = read_secret_file(path, &problem);
		if (token == NULL)
		{
			broken(look, "%s",
				   problem != NULL
					   ? problem
					   : psprintf("file \"%s\" does not exist", path));
			return NULL;
		}
		token[strcspn(token, "\r\n")] = '\0';
	}
	else if (token != NULL && strpbrk(token, "\r\n") != NULL)
	{
		broken(look,
			   "AWS_CONTAINER_AUTHORIZATION_TOKEN contains a line break");
		return NULL;
	}
	*fine = true;
	return token;
}

LookResult
look_at_container(Look *look)
{
	const char *relative =
		environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *url = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	HttpHeader authorization = {"Authorization", NULL};
	HttpRequest request = {.method = "GET",
						   .ca_file = environment("AWS_CA_BUNDLE"),
						   .connect_timeout = CONNECT_TIMEOUT,
						   .timeout = ANSWER_TIMEOUT};
	HttpResponse response;
	char *token;
	bool fine;

	if (relative != NULL)
		url = psprintf("%s%s%s", CONTAINER_ENDPOINT,
					   relative[0] == '/' ? "" : "/", relative);
	if (url == NULL)
		return absent(look,
					  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set");
	if (!is_trusted_url(url))
		return broken(
			look,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is neither an https URL nor "
			"an address of this machine or of the container credentials "
			"service");
	token = container_token(look, &fine);
	if (!fine)
		return LOOK_BROKEN;
	if (token != NULL)
	{
		authorization.value = token;
		request.headers = list_make1(&authorization);
	}
	request.url = url;
	ask_endpoint(look, &request, &response);
	forget_secret(token);
	return take_keys(look, url, &response);
}

static const char *
instance_endpoint(void)
{
	const char *endpoint = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	size_t length;

	if (endpoint == NULL)
		return mode != NULL && pg_strcasecmp(mode, "IPv6") == 0
				   ? INSTANCE_ENDPOINT_6
				   : INSTANCE_ENDPOINT;
	length = strlen(endpoint);
	while (length > 0 && endpoint[length - 1] == '/')
		length--;
	return pnstrdup(endpoint, length);
}

/*
 * Request instance metadata; false if there is no answer.
 */
static bool
ask_instance(const Look *look, const char *method, const char *url,
			 HttpHeader *header, HttpResponse *response)
{
	HttpRequest request = {.method = method,
						   .url = url,
						   .headers = list_make1(header),
						   .body = strcmp(method, "PUT") == 0 ? "" : NULL,
						   .connect_timeout = CONNECT_TIMEOUT,
						   .timeout = ANSWER_TIMEOUT};

	ask_endpoint(look, &request, response);
	return response->status == 200;
}

/*
 * Can this text be a token or the name of a role?  A page of a proxy or of a
 * captive portal cannot.
 */
static bool
is_one_word(const char *text)
{
	if (text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 0x7f || *text == '<' || *text == '>')
			return false;
	return true;
}

static LookResult
no_answer(Look *look, const char *url, const HttpResponse *response)
{
	if (response->status == 0)
		return absent(look, "%s: %s", url, response->error);
	return absent(look, "%s answered with status %d", url, response->status);
}

/*
 * Instance metadata version 2: get a token, then the name of the instance's
 * role, then its access key.
 */
LookResult
look_at_instance(Look *look)
{
	const char *disabled = environment("AWS_EC2_METADATA_DISABLED");
	const char *endpoint = instance_endpoint();
	HttpHeader lifetime = {"X-aws-ec2-metadata-token-ttl-seconds", "300"};
	HttpHeader token = {"X-aws-ec2-metadata-token", NULL};
	HttpResponse response;
	char *url;

	if (disabled != NULL && pg_strcasecmp(disabled, "true") == 0)
		return absent(look, "AWS_EC2_METADATA_DISABLED is set");
	url = psprintf("%s/latest/api/token", endpoint);
	if (!ask_instance(look, "PUT", url, &lifetime, &response))
		return no_answer(look, url, &response);
	if (!is_one_word(response.body))
		return not_from_service(look, url, &response);
	token.value = response.body;

	url = psprintf("%s%s", endpoint, INSTANCE_KEYS);
	if (!ask_instance(look, "GET", url, &token, &response))
		return no_answer(look, url, &response);
	response.body[strcspn(response.body, "\r\n")] = '\0';
	if (response.body[0] == '\0')
		return absent(look, "the instance has no IAM role");
	if (!is_one_word(response.body))
		return not_from_service(look, url, &response);
	url = psprintf("%s%s", url, response.body);
	ask_instance(look, "GET", url, &token, &response);
	return take_keys(look, url, &response);
}
