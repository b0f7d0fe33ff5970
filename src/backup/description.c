/*-------------------------------------------------------------------------
 *
 * description.c
 *	  Parsing of the manifests and verification results in a storage.
 *
 * These objects can be written by others, so every field is checked before it
 * is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "backup/description.h"

/* 100 years: longer durations were not measured */
#define MAX_RESTORE_SECONDS 3.2e9
/* restore_settings is shown in one line */
#define MAX_RESTORE_SETTINGS 1000

/*
 * A field of a JSON object, or NULL where it is missing or null.
 */
static JsonbValue *
field(Jsonb *object, const char *name)
{
	JsonbValue key;
	JsonbValue *value;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	value = findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
	return value == NULL || value->type == jbvNull ? NULL : value;
}

static void
refuse_field(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("field \"%s\" is missing or invalid", name)));
}

static char *
text_field(Jsonb *object, const char *name, bool required)
{
	JsonbValue *value = field(object, name);

	if (value == NULL)
	{
		if (required)
			refuse_field(name);
		return NULL;
	}
	if (value->type != jbvString)
		refuse_field(name);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static int64
number_field(Jsonb *object, const char *name)
{
	JsonbValue *value = field(object, name);

	if (value == NULL)
		return -1;
	if (value->type != jbvNumeric)
		refuse_field(name);
	return DatumGetInt64(DirectFunctionCall1(
		numeric_int8, NumericGetDatum(value->val.numeric)));
}

static TimestampTz
time_field(Jsonb *object, const char *name)
{
	char *text = text_field(object, name, false);
	TimestampTz time;

	if (text == NULL)
		return 0;
	time = DatumGetTimestampTz(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (TIMESTAMP_NOT_FINITE(time))
		refuse_field(name);
	return time;
}

/*
 * A JSON object whose field "pgmaint" has this value, or NULL.
 */
static Jsonb *
parse_object(const char *text, const char *what)
{
	Jsonb *object =
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbValue *value;

	if (!JB_ROOT_IS_OBJECT(object))
		return NULL;
	value = field(object, "pgmaint");
	if (value == NULL || value->type != jbvString ||
		value->val.string.len != (int) strlen(what) ||
		strncmp(value->val.string.val, what, strlen(what)) != 0)
		return NULL;
	return object;
}

/*
 * Parse a manifest; an ERROR where pgmaint cannot have written it.
 */
bool
parse_manifest(const char *text, StoredBackup *backup)
{
	Jsonb *object = parse_object(text, "backup");
	JsonbValue *value;

	if (object == NULL)
		return false;
	backup->key = text_field(object, "key", true);
	backup->kind = text_field(object, "kind", true);
	if (strcmp(backup->kind, "database") == 0)
		backup->database = text_field(object, "database", true);
	else if (strcmp(backup->kind, "globals") != 0)
		refuse_field("kind");
	if (backup->database != NULL && strlen(backup->database) >= NAMEDATALEN)
		refuse_field("database");
	backup->bytes = number_field(object, "bytes");
	backup->sha256 = text_field(object, "sha256", true);
	backup->compression = text_field(object, "compression", true);
	backup->mark = text_field(object, "mark", true);
	backup->identity = text_field(object, "identity", false);
	backup->server_version = text_field(object, "server_version", false);
	backup->database_bytes = number_field(object, "database_bytes");
	backup->run_id = number_field(object, "run_id");
	backup->started_at = time_field(object, "started_at");
	backup->finished_at = time_field(object, "finished_at");
	if (backup->bytes < 0)
		refuse_field("bytes");
	if (backup->started_at == 0)
		refuse_field("started_at");
	if (backup->finished_at == 0)
		refuse_field("finished_at");

	backup->dump_bytes = -1;
	value = field(object, "dump");
	if (value != NULL && value->type == jbvBinary &&
		JsonContainerIsObject(value->val.binary.data))
		backup->dump_bytes = number_field(JsonbValueToJsonb(value), "bytes");
	value = field(object, "selection");
	if (value != NULL)
	{
		Jsonb *selection = JsonbValueToJsonb(value);

		backup->selection =
			JsonbToCString(NULL, &selection->root, VARSIZE(selection));
	}
	return true;
}

/*
 * Parse the result of the last verification.  An invalid field makes the whole
 * result count as missing.
 */
void
parse_verification(const char *text, StoredBackup *backup)
{
	Jsonb *object = parse_object(text, "verification");
	char *verification;
	char *error;
	char *settings;
	TimestampTz verified_at;
	JsonbValue *value;
	double seconds = -1;

	if (object == NULL ||
		strcmp(text_field(object, "sha256", true), backup->sha256) != 0)
		return;
	verification = text_field(object, "verification", true);
	if (strcmp(verification, "restorable") != 0 &&
		strcmp(verification, "not restorable") != 0 &&
		strcmp(verification, "intact") != 0)
		refuse_field("verification");
	verified_at = time_field(object, "verified_at");
	error = text_field(object, "error", false);
	settings = text_field(object, "restore_settings", false);
	if (settings != NULL && strlen(settings) > MAX_RESTORE_SETTINGS)
		refuse_field("restore_settings");
	value = field(object, "restore_seconds");
	if (value != NULL && value->type == jbvNumeric)
	{
		seconds = DatumGetFloat8(DirectFunctionCall1(
			numeric_float8, NumericGetDatum(value->val.numeric)));
		if (seconds < 0 || seconds > MAX_RESTORE_SECONDS)
			refuse_field("restore_seconds");
	}
	backup->verification = verification;
	backup->verification_error = error;
	backup->verified_at = verified_at;
	backup->restore_seconds = seconds;
	backup->restore_settings = seconds < 0 ? NULL : settings;
}
