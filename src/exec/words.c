/*-------------------------------------------------------------------------
 *
 * words.c
 *	  The standard error of a program: the beginning, where the cause is,
 *	  and the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "exec/words.h"

void
keep_words(Words *words, const char *data, size_t length)
{
	size_t first = Min(length, WORDS_KEPT - words->first_length);

	memcpy(words->first + words->first_length, data, first);
	words->first_length += first;
	for (size_t i = first; i < length; i++)
		words->last[words->more++ % WORDS_KEPT] = data[i];
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
words_text(const Words *words)
{
	StringInfoData bytes;
	uint64 kept = Min(words->more, WORDS_KEPT);

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, words->first, (int) words->first_length);
	if (words->more > kept)
		appendStringInfo(&bytes, "\n(" UINT64_FORMAT " bytes left out)\n",
						 words->more - kept);
	for (uint64 i = words->more - kept; i < words->more; i++)
		appendStringInfoChar(&bytes, words->last[i % WORDS_KEPT]);
	while (bytes.len > 0 && bytes.data[bytes.len - 1] == '\n')
		bytes.len--;
	return as_text(&bytes);
}
