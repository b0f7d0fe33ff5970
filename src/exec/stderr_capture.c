/*-------------------------------------------------------------------------
 *
 * stderr_capture.c
 *	  The standard error of a program: the beginning, where the cause is,
 *	  and the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "exec/stderr_capture.h"

void
capture_stderr(StderrCapture *capture, const char *data, size_t length)
{
	size_t first = Min(length, STDERR_KEPT - capture->first_length);

	memcpy(capture->first + capture->first_length, data, first);
	capture->first_length += first;
	for (size_t i = first; i < length; i++)
		capture->last[capture->more++ % STDERR_KEPT] = data[i];
}

/*
 * Error output goes into the ledger, and may be in any encoding, cut off
 * anywhere, or no text at all: a question mark replaces bytes that are no
 * character here.
 */
static char *
as_text(const StringInfoData *bytes)
{
	StringInfoData text;
	int encoding = GetDatabaseEncoding();

	initStringInfo(&text);
	for (int place = 0; place < bytes->len;)
	{
		const char *next = bytes->data + place;
		int length =
			pg_encoding_verifymbchar(encoding, next, bytes->len - place);

		if (length <= 0 || *next == '\0')
		{
			appendStringInfoChar(&text, '?');
			place++;
			continue;
		}
		appendBinaryStringInfo(&text, next, length);
		place += length;
	}
	return text.data;
}

char *
captured_text(const StderrCapture *capture)
{
	StringInfoData bytes;
	uint64 kept = Min(capture->more, STDERR_KEPT);

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, capture->first,
						   (int) capture->first_length);
	if (capture->more > kept)
		appendStringInfo(&bytes, "\n(" UINT64_FORMAT " bytes left out)\n",
						 capture->more - kept);
	for (uint64 i = capture->more - kept; i < capture->more; i++)
		appendStringInfoChar(&bytes, capture->last[i % STDERR_KEPT]);
	while (bytes.len > 0 && bytes.data[bytes.len - 1] == '\n')
		bytes.len--;
	return as_text(&bytes);
}
