/*-------------------------------------------------------------------------
 *
 * optionrules.c
 *	  The options of storages, and their valid values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "lib/stringinfo.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "storage/optionrules.h"

typedef struct OptionRule OptionRule;

/* the rule of an option; setters return false for values that are not valid */
struct OptionRule
{
	const char *name;
	Oid catalog; /* of the kind of object that has it */
	bool (*set)(const OptionRule *rule, const char *value,
				StorageOptions *options);
	size_t field;	   /* of StorageOptions */
	const char *valid; /* a hint */
	int unit;		   /* of a number: GUC_UNIT_... */
	int minimum;
	int maximum;
	int scale; /* value of one unit in the field */
};

static char **
text_field(const OptionRule *rule, StorageOptions *options)
{
	return (char **) ((char *) options + rule->field);
}

/*
 * Only letters, digits and the other characters of names of regions, storage
 * classes and keys of a key management service.
 */
static bool
set_word(const OptionRule *rule, const char *value, StorageOptions *options)
{
	static const char *const legal = "abcdefghijklmnopqrstuvwxyz"
									 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
									 "0123456789_-.:/";

	if (value[0] == '\0' || value[strspn(value, legal)] != '\0')
		return false;
	*text_field(rule, options) = pstrdup(value);
	return true;
}

/*
 * Anything that fits in a line.
 */
static bool
set_line(const OptionRule *rule, const char *value, StorageOptions *options)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return false;
	}
	*text_field(rule, options) = pstrdup(value);
	return value[0] != '\0';
}

/*
 * A value that is sent unchanged; it must not have blanks around it, such as
 * from copying.
 */
static bool
set_key(const OptionRule *rule, const char *value, StorageOptions *options)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	}
	*text_field(rule, options) = pstrdup(value);
	return value[0] != '\0';
}

static bool
set_file(const OptionRule *rule, const char *value, StorageOptions *options)
{
	return value[0] == '/' && set_line(rule, value, options);
}

static bool
set_encryption(const OptionRule *rule, const char *value,
			   StorageOptions *options)
{
	return (strcmp(value, "AES256") == 0 || strcmp(value, "aws:kms") == 0) &&
		   set_line(rule, value, options);
}

static bool
set_addressing(const OptionRule *rule, const char *value,
			   StorageOptions *options)
{
	options->virtual_host = strcmp(value, "virtual") == 0;
	return options->virtual_host || strcmp(value, "path") == 0;
}

static bool
set_url(const OptionRule *rule, const char *value, StorageOptions *options)
{
	return parse_storage_url(value, options);
}

/*
 * http or https, a host that may be an IPv6 address in brackets, and perhaps
 * a port.
 */
static bool
set_endpoint(const OptionRule *rule, const char *value,
			 StorageOptions *options)
{
	const char *rest = value;
	size_t host;

	if (strncmp(rest, "https://", 8) == 0)
		rest += 8;
	else if (strncmp(rest, "http://", 7) == 0)
		rest += 7;
	else
		return false;
	if (*rest == '[')
	{
		host = strspn(rest + 1, "0123456789abcdefABCDEF:.");
		if (host == 0 || rest[host + 1] != ']')
			return false;
		rest += host + 2;
	}
	else
	{
		host = strspn(rest, "abcdefghijklmnopqrstuvwxyz"
							"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
		if (host == 0)
			return false;
		rest += host;
	}
	if (*rest == ':')
	{
		size_t digits = strspn(rest + 1, "0123456789");

		if (digits == 0 || digits > 5 ||
			strtol(rest + 1, NULL, 10) > USHRT_MAX)
			return false;
		rest += 1 + digits;
	}
	if (*rest != '\0')
		return false;
	*text_field(rule, options) = pstrdup(value);
	return true;
}

/*
 * A number, with the units of settings.
 */
static bool
set_number(const OptionRule *rule, const char *value, StorageOptions *options)
{
	int number;

	if (!parse_int(value, &number, rule->unit, NULL) ||
		number < rule->minimum || number > rule->maximum)
		return false;
	*(int *) ((char *) options + rule->field) = number * rule->scale;
	return true;
}

#define SERVER ForeignServerRelationId
#define MAPPING UserMappingRelationId
#define FIELD(name) offsetof(StorageOptions, name)
#define MEGABYTE (1024 * 1024)

static const OptionRule rules[] = {
	{"url", SERVER, set_url,
	 .valid =
		 "The value must be s3://bucket or s3://bucket/prefix, "
		 "file:///absolute/folder, or file:folder for a folder below the data "
		 "directory."},
	{"region", SERVER, set_word, FIELD(region),
	 .valid = "The value must be the name of a region, such as eu-central-1."},
	{"endpoint", SERVER, set_endpoint, FIELD(endpoint),
	 .valid =
		 "The value must be https://host or https://host:port, or the same with "
		 "http, without a path."},
	{"addressing", SERVER, set_addressing,
	 .valid = "The value must be path (https://host/bucket) or virtual "
			  "(https://bucket.host)."},
	{"ca_file", SERVER, set_file, FIELD(ca_file),
	 .valid =
		 "The value must be the absolute path of a file with certificates."},
	{"encryption", SERVER, set_encryption, FIELD(encryption),
	 .valid = "The value must be AES256 or aws:kms."},
	{"kms_key_id", SERVER, set_word, FIELD(kms_key_id),
	 .valid =
		 "The value must be the name of a key of the key management service."},
	{"storage_class", SERVER, set_word, FIELD(storage_class),
	 .valid = "The value must be a storage class, such as STANDARD_IA."},
	{"profile", SERVER, set_line, FIELD(profile),
	 .valid =
		 "The value must be the name of a profile of the shared credentials "
		 "file."},
	{"part_size", SERVER, set_number, FIELD(part_size),
	 .valid = "The value must be a size from 5MB to 512MB.",
	 .unit = GUC_UNIT_BYTE, .minimum = 5 * MEGABYTE, .maximum = 512 * MEGABYTE,
	 .scale = 1},
	{"parallel", SERVER, set_number, FIELD(parallel),
	 .valid = "The value must be a number of concurrent parts from 1 to 16.",
	 .minimum = 1, .maximum = 16, .scale = 1},
	{"connect_timeout", SERVER, set_number, FIELD(connect_timeout),
	 .valid =
		 "The value must be a time from 1s to 600s; without a unit it is in "
		 "seconds.",
	 .unit = GUC_UNIT_S, .minimum = 1, .maximum = 600, .scale = 1000},
	{"stall_timeout", SERVER, set_number, FIELD(stall_timeout),
	 .valid =
		 "The value must be a time from 1s to 600s; without a unit it is in "
		 "seconds.",
	 .unit = GUC_UNIT_S, .minimum = 1, .maximum = 600, .scale = 1},
	{"retries", SERVER, set_number, FIELD(retries),
	 .valid = "The value must be a number from 0 to 20.", .maximum = 20,
	 .scale = 1},
	{"access_key_id", MAPPING, set_key, FIELD(access_key_id),
	 .valid = "The value must be printable ASCII characters without blanks."},
	{"secret_access_key", MAPPING, set_key, FIELD(secret_access_key),
	 .valid = "The value must be printable ASCII characters without blanks."},
	{"session_token", MAPPING, set_key, FIELD(session_token),
	 .valid = "The value must be printable ASCII characters without blanks."},
};

static const OptionRule *
find_rule(const char *name)
{
	for (int i = 0; i < lengthof(rules); i++)
	{
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	return NULL;
}

/*
 * The hint with the valid values of an option.
 */
const char *
option_hint(const char *name)
{
	return find_rule(name)->valid;
}

/*
 * The option whose name is most similar to this one; NULL if none is similar.
 */
static const char *
nearest_name(Oid catalog, const char *name)
{
	const char *nearest = NULL;
	int length = (int) strlen(name);
	int limit = 3; /* more than this are different words */

	/* longer ones are none, and are refused by the function */
	if (length > NAMEDATALEN)
		return NULL;
	for (int i = 0; i < lengthof(rules); i++)
	{
		int distance;

		if (rules[i].catalog != catalog)
			continue;
		distance = varstr_levenshtein_less_equal(name, length, rules[i].name,
												 (int) strlen(rules[i].name),
												 1, 1, 1, limit, true);
		if (distance <= limit && distance * 2 <= length)
		{
			nearest = rules[i].name;
			limit = distance - 1;
		}
	}
	return nearest;
}

/*
 * Refuse an option by name.  For an option of the other kind of object, the
 * hint says so: a secret in the options of a server could be read by every
 * role.
 */
static void
refuse_name(Oid catalog, const char *name, const OptionRule *elsewhere)
{
	const char *nearest = nearest_name(catalog, name);
	StringInfoData hint;
	bool first = true;

	initStringInfo(&hint);
	if (elsewhere != NULL)
		appendStringInfo(&hint, "Set this option on the %s. ",
						 elsewhere->catalog == SERVER ? "server"
													  : "user mapping");
	else if (nearest != NULL)
		appendStringInfo(&hint, "Perhaps you meant the option \"%s\". ",
						 nearest);
	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].catalog != catalog)
			continue;
		if (first)
			appendStringInfo(&hint, "Valid options in this context are: ");
		appendStringInfo(&hint, "%s%s", first ? "" : ", ", rules[i].name);
		first = false;
	}
	appendStringInfoString(
		&hint, first ? "There are no valid options in this context." : ".");
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("invalid option \"%s\"", name),
					errhint("%s", hint.data), errhidestmt(true)));
}

/*
 * Refuse a value, which the message repeats only if it cannot be a secret.
 */
static void
refuse_value(const OptionRule *rule, const char *value)
{
	bool secret = rule->catalog == MAPPING;

	if ((rule->set == set_url || rule->set == set_endpoint) &&
		strchr(value, '@') != NULL && strncmp(value, "file:", 5) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" must not contain user names or keys",
						rule->name),
				 errhint("Set access_key_id and secret_access_key with "
						 "CREATE USER MAPPING."),
				 errhidestmt(true)));
	secret |= strchr(value, '?') != NULL;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 secret ? errmsg("invalid value for option \"%s\"", rule->name)
					: errmsg("invalid value for option \"%s\": \"%s\"",
							 rule->name, value),
			 errhint("%s", rule->valid), errhidestmt(secret)));
}

/*
 * Apply one option, or refuse it.
 */
void
apply_option(Oid catalog, const char *name, const char *value,
			 StorageOptions *options)
{
	const OptionRule *rule = find_rule(name);

	if (rule == NULL || rule->catalog != catalog)
		refuse_name(catalog, name, rule);
	else if (!rule->set(rule, value, options))
		refuse_value(rule, value);
}
