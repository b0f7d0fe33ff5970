/*-------------------------------------------------------------------------
 *
 * pgmaint_test_storage.c
 *	  SQL functions that use HTTP and storages as pgmaint's C code does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "http/http.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(http_request);

/*
 * http_request(method text, url text, body text, ca_file text,
 *		stall_timeout int, streamed bool) returns text
 */
Datum
http_request(PG_FUNCTION_ARGS)
{
	HttpClient *client = http_client_create();
	HttpRequest request = {0};
	HttpResponse response;
	HttpTransfer *transfer;
	StringInfoData taken;

	request.method = text_to_cstring(PG_GETARG_TEXT_PP(0));
	request.url = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
	{
		request.body = text_to_cstring(PG_GETARG_TEXT_PP(2));
		request.body_length = strlen(request.body);
	}
	if (!PG_ARGISNULL(3))
		request.ca_file = text_to_cstring(PG_GETARG_TEXT_PP(3));
	request.connect_timeout = 5000;
	request.stall_timeout = PG_GETARG_INT32(4);
	request.streamed = PG_GETARG_BOOL(5);
	request.body_limit = 1000;
	initStringInfo(&taken);
	transfer = http_start(client, &request);
	if (request.streamed)
	{
		char buffer[1000];
		size_t length;

		while ((length = http_read(transfer, buffer, sizeof(buffer))) > 0)
			appendBinaryStringInfo(&taken, buffer, length);
	}
	else
		(void) http_wait(client, -1);
	http_finish(transfer, &response);
	http_client_destroy(client);
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf("%d %s %s%s", response.status,
								 response.error != NULL ? response.error : "-",
								 taken.data, response.body)));
}
