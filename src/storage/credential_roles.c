/*-------------------------------------------------------------------------
 *
 * credential_roles.c
 *	  Access keys of a role, from STS in exchange for a token: Kubernetes gives
 *	  the token to the service account of a pod.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "storage/credential_look.h"
#include "storage/s3_xml.h"
#include "storage/sigv4.h"

/* milliseconds; it may be on another continent */
#define CONNECT_TIMEOUT 5000
#define ANSWER_TIMEOUT 20000

/* bytes of an error's text that are shown */
#define MESSAGE_LIMIT 200

/* an answer of STS: credentials or an error */
typedef struct Answer
{
	bool from_sts;
	char *access_key_id;
	char *secret_access_key;
	char *session_token;
	char *expiration;
	char *code;
	char *message;
} Answer;

/*
 * Parse an answer of STS; if it is not XML, all fields stay NULL.
 */
static void
parse_answer(const HttpResponse *response, Answer *answer)
{
	const S3Element *document = s3_parse(response->body, response->length);

	answer->from_sts =
		document != NULL &&
		strcmp(document->name, "AssumeRoleWithWebIdentityResponse") == 0;
	answer->access_key_id = s3_find(document, "AccessKeyId");
	answer->secret_access_key = s3_find(document, "SecretAccessKey");
	answer->session_token = s3_find(document, "SessionToken");
	answer->expiration = s3_find(document, "Expiration");
	answer->code = s3_find(document, "Code");
	answer->message = s3_find(document, "Message");
}

/*
 * The URL of STS: that of the region, unless the environment names another.
 */
static char *
service_url(const StorageOptions *options)
{
	const char *endpoint = environment("AWS_ENDPOINT_URL_STS");
	const char *region =
		options->region != NULL ? options->region : machine_region(options);

	if (endpoint != NULL)
		return psprintf("%s%s", endpoint,
						endpoint[strlen(endpoint) - 1] == '/' ? "" : "/");
	if (region == NULL)
		return pstrdup("https://sts.amazonaws.com/");
	return psprintf("https://sts.%s.amazonaws.com%s/", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

static void
append_field(StringInfo form, const char *name, const char *value)
{
	appendStringInfo(form, "%s%s=", form->len > 0 ? "&" : "", name);
	append_uri_encoded(form, value, false);
}

static char *
request_form(const char *role, const char *session, const char *token)
{
	StringInfoData form;

	initStringInfo(&form);
	append_field(&form, "Action", "AssumeRoleWithWebIdentity");
	append_field(&form, "Version", "2011-06-15");
	append_field(&form, "RoleArn", role);
	append_field(&form, "RoleSessionName", session);
	append_field(&form, "WebIdentityToken", token);
	return form.data;
}

static LookResult
ask_for_role(Look *look, const char *role, const char *session,
			 const char *token)
{
	char *url = service_url(look->options);
	char *form = request_form(role, session, token);
	HttpHeader type = {"Content-Type", "application/x-www-form-urlencoded"};
	HttpHeader accept = {"Accept", "application/xml"};
	HttpRequest request = {.method = "POST",
						   .url = url,
						   .headers = list_make2(&type, &accept),
						   .body = form,
						   .body_length = strlen(form),
						   .ca_file = environment("AWS_CA_BUNDLE"),
						   .connect_timeout = CONNECT_TIMEOUT,
						   .timeout = ANSWER_TIMEOUT};
	HttpResponse response;
	Answer answer;

	ask_endpoint(look, &request, &response);
	forget_secret(form);
	if (response.status == 0)
		return broken(look, "%s: %s", url, response.error);
	parse_answer(&response, &answer);
	explicit_bzero(response.body, response.length);
	if (response.status != 200)
		return broken(
			look, "%s answered with status %d, %s: %.*s", url, response.status,
			answer.code != NULL ? answer.code : "no error code", MESSAGE_LIMIT,
			answer.message != NULL ? answer.message : "");
	if (!answer.from_sts)
		return not_from_service(look, url, &response);
	look->found.access_key_id = answer.access_key_id;
	look->found.secret_access_key = answer.secret_access_key;
	look->found.session_token = answer.session_token;
	return found_until(look, answer.expiration);
}

/*
 * The environment, or else the profile, names the role and the file with the
 * token.
 */
LookResult
look_at_web_identity(Look *look)
{
	const char *path = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = environment("AWS_ROLE_ARN");
	const char *session = environment("AWS_ROLE_SESSION_NAME");
	char *token;
	char *problem;
	LookResult result;

	if (look->options->profile != NULL || path == NULL)
	{
		path = profile_setting(look->options, "web_identity_token_file");
		role = profile_setting(look->options, "role_arn");
		session = profile_setting(look->options, "role_session_name");
	}
	if (path == NULL)
		return absent(look, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (role == NULL)
		return broken(
			look, "a web identity token file is set, but AWS_ROLE_ARN is not");
	token = read_secret_file(path, &problem);
	if (token == NULL)
		return broken(look, "%s",
					  problem != NULL
						  ? problem
						  : psprintf("file \"%s\" does not exist", path));
	token[strcspn(token, " \t\r\n")] = '\0';
	result =
		ask_for_role(look, role, session != NULL ? session : "pgmaint", token);
	forget_secret(token);
	return result;
}
