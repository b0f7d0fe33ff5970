/*-------------------------------------------------------------------------
 *
 * s3_list.c
 *	  Lists the objects of a bucket, and its unfinished uploads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "storage/s3.h"
#include "storage/s3_checksum.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Decode a key: XML cannot represent some characters, so keys are URL-encoded.
 */
static char *
decode_key(const S3Element *page, const char *text)
{
	const char *encoding = s3_text(page, "EncodingType");
	StringInfoData key;

	if (encoding == NULL || strcmp(encoding, "url") != 0)
		return pstrdup(text);
	initStringInfo(&key);
	for (; *text != '\0'; text++)
	{
		int high = *text == '%' ? hex_digit(text[1]) : -1;
		int low = high >= 0 ? hex_digit(text[2]) : -1;

		if (low >= 0)
		{
			unsigned char byte = (unsigned char) (high * 16 + low);

			appendBinaryStringInfo(&key, (const char *) &byte, 1);
			text += 2;
		}
		else if (*text == '+')
			appendStringInfoChar(&key, ' ');
		else
			appendStringInfoChar(&key, *text);
	}
	return pg_any_to_server(key.data, key.len, PG_UTF8);
}

static List *
add_query(List *query, const char *name, const char *value)
{
	return lappend(query, named_value(name, value));
}

/*
 * Fetch a page of a list.
 */
static const S3Element *
fetch_page(const Storage *storage, List *query, const char *root,
		   const char *purpose)
{
	S3Request request = {0};
	S3Answer answer;

	request.method = "GET";
	request.query = query;
	request.purpose = purpose;
	request.root = root;
	s3_perform(s3_client(storage), &request, &answer);
	if (!answer.ok)
		s3_raise(s3_client(storage), &request, &answer);
	return answer.document;
}

static bool
is_named(const S3Element *element, const char *name)
{
	return strcmp(element->name, name) == 0;
}

/*
 * Pass the objects of a page to the visitor; false if it wants no more.
 */
static bool
visit_page(const Storage *storage, const S3Element *page,
		   MemoryContext callers, StorageVisit visit, void *context)
{
	size_t prefix = strlen(storage->options->prefix);
	ListCell *cell;

	foreach (cell, page->children)
	{
		const S3Element *entry = lfirst(cell);
		const char *key = s3_text(entry, "Key");
		const char *size = s3_text(entry, "Size");
		const char *modified = s3_text(entry, "LastModified");
		const char *etag = s3_text(entry, "ETag");
		StoredObject object = {0};
		MemoryContext previous;
		bool wanted;

		if (!is_named(entry, "Contents") || key == NULL || size == NULL)
			continue;
		CHECK_FOR_INTERRUPTS();
		key = decode_key(page, key);
		if (strncmp(key, storage->options->prefix, prefix) != 0)
			continue;
		object.key = pstrdup(key + prefix);
		object.bytes = strtoll(size, NULL, 10);
		object.modified = modified != NULL ? s3_time(modified) : 0;
		object.etag = etag != NULL ? s3_etag(etag) : NULL;
		previous = MemoryContextSwitchTo(callers);
		wanted = visit(context, &object);
		MemoryContextSwitchTo(previous);
		if (!wanted)
			return false;
	}
	return true;
}

void
s3_list(Storage *storage, const char *prefix, StorageVisit visit,
		void *context)
{
	const char *purpose = s3_purpose(storage, "list", NULL);
	const char *full_prefix = s3_full_key(storage, prefix);
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "pgmaint S3 list", ALLOCSET_DEFAULT_SIZES);
	MemoryContext previous = CurrentMemoryContext;
	char *token = NULL;

	do
	{
		List *query = NIL;
		const S3Element *page;
		const char *next;

		MemoryContextReset(scratch);
		MemoryContextSwitchTo(scratch);
		query = add_query(query, "list-type", "2");
		query = add_query(query, "encoding-type", "url");
		query = add_query(query, "prefix", full_prefix);
		if (token != NULL)
			query = add_query(query, "continuation-token", token);
		page = fetch_page(storage, query, "ListBucketResult", purpose);
		next = s3_text(page, "IsTruncated");
		next = next != NULL && strcmp(next, "true") == 0
				   ? s3_text(page, "NextContinuationToken")
				   : NULL;
		token = next != NULL ? MemoryContextStrdup(previous, next) : NULL;
		if (!visit_page(storage, page, previous, visit, context))
			token = NULL;
	} while (token != NULL);
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(scratch);
}

static void
abort_upload(const Storage *storage, const char *key, const char *id)
{
	S3Request request = {0};
	S3Answer answer;

	request.method = "DELETE";
	request.key = s3_full_key(storage, key);
	request.query = list_make1(named_value("uploadId", id));
	request.purpose = s3_purpose(storage, "abort an upload of object", key);
	s3_perform(s3_client(storage), &request, &answer);
	if (!answer.ok && !s3_is_missing(&answer))
		s3_raise(s3_client(storage), &request, &answer);
}

/*
 * Abort the uploads of exactly this key.  The keys are not requested in
 * encoded form: Ceph sends them encoded without saying so.
 */
void
s3_remove_unfinished(Storage *storage, const char *key)
{
	const char *purpose =
		s3_purpose(storage, "look for unfinished uploads in", NULL);
	const char *full_key = s3_full_key(storage, key);
	const char *key_marker = NULL;
	const char *id_marker = NULL;

	do
	{
		List *query = NIL;
		const S3Element *page;
		const char *truncated;
		bool more;
		ListCell *cell;

		query = add_query(query, "uploads", "");
		query = add_query(query, "prefix", full_key);
		if (key_marker != NULL)
			query = add_query(query, "key-marker", key_marker);
		if (id_marker != NULL)
			query = add_query(query, "upload-id-marker", id_marker);
		page =
			fetch_page(storage, query, "ListMultipartUploadsResult", purpose);
		foreach (cell, page->children)
		{
			const S3Element *upload = lfirst(cell);
			const char *found = s3_text(upload, "Key");
			const char *id = s3_text(upload, "UploadId");

			if (is_named(upload, "Upload") && found != NULL && id != NULL &&
				strcmp(found, full_key) == 0)
				abort_upload(storage, key, id);
		}
		truncated = s3_text(page, "IsTruncated");
		more = truncated != NULL && strcmp(truncated, "true") == 0;
		key_marker = more ? s3_text(page, "NextKeyMarker") : NULL;
		id_marker = more ? s3_text(page, "NextUploadIdMarker") : NULL;
	} while (key_marker != NULL);
}
