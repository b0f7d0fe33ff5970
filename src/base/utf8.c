/*-------------------------------------------------------------------------
 *
 * utf8.c
 *	  Text of the database, converted to UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "base/utf8.h"

/*
 * The JSON string around a position, mostly a name, or the whole text if it is
 * no JSON.  Bytes that are not ASCII are written as \xNN.
 */
static char *
name_around(const char *text, int place)
{
	StringInfoData name;
	int from = place;
	int to = place;

	while (from > 0 &&
		   !(text[from - 1] == '"' && (from == 1 || text[from - 2] != '\\')))
		from--;
	while (text[to] != '\0' && !(text[to] == '"' && text[to - 1] != '\\'))
		to++;
	initStringInfo(&name);
	for (const char *letter = text + from; letter < text + to; letter++)
	{
		if (letter[0] == '\\' && letter[1] == '"')
			continue;
		if (IS_HIGHBIT_SET(*letter))
			appendStringInfo(&name, "\\x%02x", (unsigned char) *letter);
		else
			appendStringInfoChar(&name, *letter);
	}
	return name.data;
}

/*
 * Keys and manifests, which are read outside of the database, are in UTF-8.
 * Names in an SQL_ASCII database may be in any encoding, and the same name
 * must result when it is read, so no encoding is guessed and no byte is
 * replaced.
 */
char *
text_in_utf8(const char *text)
{
	int length = (int) strlen(text);

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
	{
		int valid = pg_encoding_verifymbstr(PG_UTF8, text, length);

		if (valid < length)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("name \"%s\" is not valid UTF-8",
						name_around(text, valid)),
				 errdetail(
					 "Keys and manifests of a storage are in UTF-8, but database \"%s\" has encoding SQL_ASCII, in which the encoding of names is unknown.",
					 get_database_name(MyDatabaseId)),
				 errhint("Rename the object: ALTER TABLE ... RENAME TO ...")));
	}
	return pg_server_to_any(text, length, PG_UTF8);
}
