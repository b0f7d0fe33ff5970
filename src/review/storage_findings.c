/*-------------------------------------------------------------------------
 *
 * storage_findings.c
 *	  The findings of the comparison of a storage with the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "review/storage_findings.h"

/* number of objects that a message names */
#define NAMED_IN_MESSAGE 3

static void
append_field(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, ", \"%s\": ", name);
	escape_json(json, value);
}

static char *
command_for(const char *function, const char *storage, const char *key)
{
	if (key == NULL)
		return psprintf("SELECT pgmaint.%s(%s)", function,
						quote_literal_cstr(storage));
	return psprintf("SELECT pgmaint.%s(%s, %s)", function,
					quote_literal_cstr(storage), quote_literal_cstr(key));
}

static char *
command_to_adopt(const char *storage, const UnknownObject *object)
{
	return object->is_archive
			   ? command_for("adopt_archive", storage, object->key)
			   : command_for("adopt_backups", storage, NULL);
}

char *
describe_comparison(const StorageReview *review)
{
	StringInfoData missing;
	StringInfoData differing;
	StringInfoData unknown;
	ListCell *cell;

	initStringInfo(&missing);
	initStringInfo(&differing);
	initStringInfo(&unknown);
	foreach (cell, review->comparison.objects)
	{
		const ComparedObject *object = lfirst(cell);
		bool is_missing = object->found_bytes < 0;
		StringInfo json = is_missing ? &missing : &differing;

		appendStringInfo(json, "%s{\"bytes\": %lld", json->len > 0 ? ", " : "",
						 (long long) object->bytes);
		if (!is_missing)
			appendStringInfo(json, ", \"found_bytes\": %lld",
							 (long long) object->found_bytes);
		append_field(json, "of", object->what);
		append_field(json, "key", object->key);
		appendStringInfoChar(json, '}');
	}
	foreach (cell, review->unknown.own)
	{
		const UnknownObject *object = lfirst(cell);

		if (foreach_current_index(cell) == NAMED_OBJECTS)
			break;
		appendStringInfo(&unknown, "%s{\"bytes\": %lld",
						 unknown.len > 0 ? ", " : "",
						 (long long) object->bytes);
		append_field(&unknown, "kind",
					 object->is_archive ? "archive" : "backup");
		append_field(&unknown, "key", object->key);
		append_field(&unknown, "adopt",
					 command_to_adopt(review->storage, object));
		append_field(
			&unknown, "remove",
			command_for("remove_object", review->storage, object->key));
		appendStringInfoChar(&unknown, '}');
	}
	return psprintf(
		"{\"missing\": [%s], \"differing\": [%s], \"unknown\": [%s]}",
		missing.data, differing.data, unknown.data);
}

static void
add_finding_about(const StorageReview *review, const char *check_id,
				  const char *severity, char *message, char *detail)
{
	note_finding(&review->context->findings, check_id, severity,
				 pstrdup(quote_identifier(review->storage)), message)
		->detail = detail;
}

/*
 * Missing objects come before differing ones in the list.
 */
static char *
name_objects(const StorageComparison *comparison)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, comparison->objects)
	{
		const ComparedObject *object = lfirst(cell);

		if (foreach_current_index(cell) == NAMED_IN_MESSAGE)
		{
			appendStringInfoString(&names, ", ...");
			break;
		}
		appendStringInfo(&names, "%s%s (%s)", names.len > 0 ? ", " : "",
						 object->what, object->key);
	}
	return names.data;
}

static void
report_differences(const StorageReview *review, char *detail)
{
	const StorageComparison *comparison = &review->comparison;
	StringInfoData counts;

	if (comparison->missing + comparison->differing == 0)
		return;
	initStringInfo(&counts);
	if (comparison->missing > 0)
		appendStringInfo(&counts, "%lld %s missing",
						 (long long) comparison->missing,
						 comparison->missing == 1 ? "is" : "are");
	if (comparison->differing > 0)
		appendStringInfo(&counts, "%s%lld %s another size than in the ledger",
						 counts.len > 0 ? ", " : "",
						 (long long) comparison->differing,
						 comparison->differing == 1 ? "has" : "have");
	add_finding_about(
		review, "storage", "critical",
		psprintf("of %lld %s of the ledger in storage %s, %s: %s",
				 (long long) comparison->known,
				 comparison->known == 1 ? "object" : "objects",
				 quote_identifier(review->storage), counts.data,
				 name_objects(comparison)),
		detail);
}

/*
 * Report objects that this database wrote and the ledger does not know, with
 * the commands that adopt or remove them.
 */
static void
report_own_unknown(const StorageReview *review, char *detail)
{
	List *own = review->unknown.own;
	const char *archive = NULL;
	const char *backup = NULL;
	StringInfoData message;
	ListCell *cell;

	if (own == NIL)
		return;
	initStringInfo(&message);
	appendStringInfo(
		&message,
		"storage %s has %d complete %s of this database that %s not in the ledger: ",
		quote_identifier(review->storage), list_length(own),
		list_length(own) == 1 ? "object" : "objects",
		list_length(own) == 1 ? "is" : "are");
	foreach (cell, own)
	{
		const UnknownObject *object = lfirst(cell);

		if (foreach_current_index(cell) <= NAMED_IN_MESSAGE)
			appendStringInfo(
				&message, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
				foreach_current_index(cell) == NAMED_IN_MESSAGE ? "..."
																: object->key);
		if (object->is_archive && archive == NULL)
			archive = object->key;
		else if (!object->is_archive && backup == NULL)
			backup = object->key;
	}
	if (backup != NULL)
		appendStringInfo(&message, "; to adopt backups: %s",
						 command_for("adopt_backups", review->storage, NULL));
	if (archive != NULL)
		appendStringInfo(
			&message, "; to adopt an archive: %s",
			command_for("adopt_archive", review->storage, archive));
	appendStringInfo(&message, "; to remove an object: %s",
					 command_for("remove_object", review->storage,
								 archive != NULL ? archive : backup));
	add_finding_about(review, "unknown_objects", "warning", message.data,
					  detail);
}

/*
 * Report the number of other unknown objects: this database must not touch
 * them.
 */
static void
report_other_unknown(const StorageReview *review)
{
	const UnknownObjects *unknown = &review->unknown;
	const char *storage = quote_identifier(review->storage);

	if (unknown->foreign > 0)
		add_finding_about(
			review, "unknown_objects", "info",
			psprintf("storage %s has %lld %s of %d other %s", storage,
					 (long long) unknown->foreign,
					 unknown->foreign == 1 ? "object" : "objects",
					 list_length(unknown->identities),
					 list_length(unknown->identities) == 1 ? "database"
														   : "databases"),
			NULL);
	if (unknown->anonymous > 0)
		add_finding_about(
			review, "unknown_objects", "info",
			psprintf(
				"storage %s has %lld complete %s that %s not in the ledger, with manifests that name no database",
				storage, (long long) unknown->anonymous,
				unknown->anonymous == 1 ? "object" : "objects",
				unknown->anonymous == 1 ? "is" : "are"),
			NULL);
	if (unknown->not_read > 0)
		add_finding_about(
			review, "unknown_objects", "info",
			psprintf(
				"storage %s has %lld more %s that %s not in the ledger, with manifests that were not read",
				storage, (long long) unknown->not_read,
				unknown->not_read == 1 ? "object" : "objects",
				unknown->not_read == 1 ? "is" : "are"),
			NULL);
	if (unknown->incomplete > 0)
		add_finding_about(
			review, "unknown_objects", "info",
			psprintf(
				"storage %s has %lld %s without a manifest that %s not in the ledger: %s%s",
				storage, (long long) unknown->incomplete,
				unknown->incomplete == 1 ? "object" : "objects",
				unknown->incomplete == 1 ? "is" : "are",
				unknown->incomplete_key,
				unknown->incomplete == 1 ? "" : ", ..."),
			NULL);
}

void
report_comparison(const StorageReview *review, char *detail)
{
	report_differences(review, detail);
	report_own_unknown(review, detail);
	report_other_unknown(review);
}
