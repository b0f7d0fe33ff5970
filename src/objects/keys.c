/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  The keys of objects, their manifests and records in a storage.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"

#include "objects/keys.h"

/* the end of an object's name, from which its formats follow */
static const char *const kinds[] = {".csv", ".dump", ".sql"};

/* "-" and eight digits */
#define HASH_LENGTH 9

/*
 * A path in a key: characters with a meaning in keys are written as %XX.
 */
void
append_key_part(StringInfo key, const char *name)
{
	for (const char *letter = name; *letter != '\0'; letter++)
	{
		unsigned char c = (unsigned char) *letter;

		if (c >= 0x80 || strchr("_-", c) != NULL ||
			(c == '.' && letter != name) || (c >= '0' && c <= '9') ||
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			appendStringInfoChar(key, *letter);
		else
			appendStringInfo(key, "%%%02X", c);
	}
}

/*
 * As much of a name as there is room for, and a hash of the whole that it
 * stands for.  A letter that is written as %XX is not cut in the middle.
 */
void
append_short_key_part(StringInfo key, const char *name, const char *whole,
					  int room)
{
	StringInfoData part;
	int length = Max(room - HASH_LENGTH, 0);

	initStringInfo(&part);
	append_key_part(&part, name);
	length = pg_mbcliplen(part.data, part.len, length);
	for (int i = 1; i <= 2 && i <= length && length < part.len; i++)
	{
		if (part.data[length - i] == '%')
			length -= i;
	}
	appendStringInfo(
		key, "%.*s-%08x", length, part.data,
		hash_bytes((const unsigned char *) whole, (int) strlen(whole)));
}

/*
 * The end of a key without what it is made of: audit/2026 of audit/2026.csv.gz.
 * That is said last: a table or a database may be called like a kind, too.
 */
static size_t
stem_length(const char *key)
{
	const char *name = strrchr(key, '/');
	const char *end = NULL;

	name = name == NULL ? key : name;
	for (int i = 0; i < lengthof(kinds); i++)
	{
		const char *kind = strstr(name, kinds[i]);

		for (; kind != NULL; kind = strstr(kind + 1, kinds[i]))
			end = end == NULL || kind > end ? kind : end;
	}
	return end == NULL ? strlen(key) : (size_t) (end - key);
}

/*
 * Data of an earlier attempt may arrive late: no two attempts write the same
 * object.
 */
char *
key_of_attempt(const char *key, int attempt)
{
	size_t stem = stem_length(key);

	if (attempt <= 1)
		return pstrdup(key);
	return psprintf("%.*s.%d%s", (int) stem, key, attempt, key + stem);
}

/*
 * The part of the key that objects with the same manifest share.
 */
char *
key_stem(const char *key)
{
	return pnstrdup(key, stem_length(key));
}

/*
 * audit/2026.csv.gz has its manifest in audit/2026.json.
 */
char *
manifest_key(const char *key)
{
	return psprintf("%.*s.json", (int) stem_length(key), key);
}

/*
 * The key of the record of a backup's last proof by a restore.
 */
char *
verification_key(const char *key)
{
	return psprintf("%.*s.verified.json", (int) stem_length(key), key);
}
