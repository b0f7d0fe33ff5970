/*-------------------------------------------------------------------------
 *
 * relay.c
 *	  The options of a relay's foreign server and user mapping.
 *
 * A relay is an SMTP server for mail or, without a URL, the keys for webhooks.
 * Options of a user mapping are secret, and error messages do not repeat them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "notify/address.h"
#include "notify/relay.h"

PG_FUNCTION_INFO_V1(pgmaint_relay_validator);

/* seconds for a delivery, unless the server has the option "timeout" */
#define DEFAULT_TIMEOUT 30

typedef struct RelayRule
{
	const char *name;
	Oid catalog; /* of the kind of object that has the option */
	bool (*valid)(const char *value);
	size_t field;	  /* of Relay */
	const char *hint; /* allowed values */
	const char *with; /* another option that is required */
} RelayRule;

/*
 * Is it printable ASCII without blanks?
 */
static bool
is_key(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	}
	return value[0] != '\0';
}

/*
 * Is it a single line that is not empty?
 */
static bool
is_line(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return false;
	}
	return value[0] != '\0';
}

static bool
is_file(const char *value)
{
	return value[0] == '/' && is_line(value);
}

static bool
is_path(const char *value)
{
	return value[0] == '/' && is_key(value) &&
		   strpbrk(value, "\"<>\\^`{|}#") == NULL;
}

static bool
is_timeout(const char *value)
{
	int seconds;

	return parse_int(value, &seconds, GUC_UNIT_S, NULL) && seconds >= 1 &&
		   seconds <= 120;
}

#define SERVER ForeignServerRelationId
#define MAPPING UserMappingRelationId
#define FIELD(name) offsetof(Relay, name)
#define NO_FIELD SIZE_MAX

static const RelayRule rules[] = {
	{"url", SERVER, is_relay_url, FIELD(url),
	 "The value must be smtp://host or smtps://host, optionally with a port.",
	 "sender"},
	{"sender", SERVER, is_mail_address, FIELD(sender),
	 "The value must be the sender address of mail, such as "
	 "pgmaint@example.com.",
	 "url"},
	{"ca_file", SERVER, is_file, FIELD(ca_file),
	 "The value must be the absolute path of a file with certificates.", NULL},
	{"timeout", SERVER, is_timeout, NO_FIELD,
	 "The value must be a time from 1s to 120s; without a unit it is in "
	 "seconds.",
	 NULL},
	{"username", MAPPING, is_line, FIELD(username),
	 "The value must be a single line.", "password"},
	{"password", MAPPING, is_line, FIELD(password),
	 "The value must be a single line.", "username"},
	{"secret", MAPPING, is_key, FIELD(secret),
	 "The value must be printable ASCII characters without blanks.", NULL},
	{"token", MAPPING, is_key, FIELD(token),
	 "The value must be printable ASCII characters without blanks.", NULL},
	{"path", MAPPING, is_path, FIELD(path),
	 "The value must be the part of a URL after the host, beginning with a "
	 "slash.",
	 NULL},
};

static const RelayRule *
find_rule(const char *name)
{
	for (int i = 0; i < (int) lengthof(rules); i++)
	{
		if (strcmp(rules[i].name, name) == 0)
			return &rules[i];
	}
	return NULL;
}

/*
 * Reject an option by its name.  For an option that belongs to the other kind
 * of object, the hint names that: a key must not be set on the server, where
 * all roles could read it.
 */
static void
refuse_name(Oid catalog, const char *name, const RelayRule *elsewhere)
{
	StringInfoData hint;
	bool first = true;

	initStringInfo(&hint);
	if (elsewhere != NULL)
		appendStringInfo(&hint, "Set this option on the %s. ",
						 elsewhere->catalog == SERVER ? "server"
													  : "user mapping");
	for (int i = 0; i < (int) lengthof(rules); i++)
	{
		if (rules[i].catalog != catalog)
			continue;
		appendStringInfo(&hint, "%s%s",
						 first ? "Valid options in this context are: " : ", ",
						 rules[i].name);
		first = false;
	}
	appendStringInfoString(
		&hint, first ? "There are no valid options in this context." : ".");
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("invalid option \"%s\"", name),
					errhint("%s", hint.data), errhidestmt(true)));
}

static bool
is_given(const List *given, const char *name)
{
	ListCell *cell;

	foreach (cell, given)
	{
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return true;
	}
	return false;
}

static void
check_option(const List *given, DefElem *option, Oid catalog)
{
	const RelayRule *rule = find_rule(option->defname);
	char *value = defGetString(option);

	if (rule == NULL || rule->catalog != catalog)
	{
		refuse_name(catalog, option->defname, rule);
		return;
	}
	if (!rule->valid(value))
	{
		bool secret = catalog == MAPPING || strchr(value, '@') != NULL;

		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 secret ? errmsg("invalid value for option \"%s\"", rule->name)
						: errmsg("invalid value for option \"%s\": \"%s\"",
								 rule->name, value),
				 errhint("%s", rule->hint), errhidestmt(secret)));
	}
	if (rule->with != NULL && !is_given(given, rule->with))
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"%s\" requires option \"%s\"",
							   rule->name, rule->with),
						errhint("%s", find_rule(rule->with)->hint),
						errhidestmt(catalog == MAPPING)));
}

/*
 * pgmaint_internal.relay_validator(options text[], catalog oid) returns void
 */
Datum
pgmaint_relay_validator(PG_FUNCTION_ARGS)
{
	List *given = untransformRelOptions(PG_GETARG_DATUM(0));
	ListCell *cell;

	foreach (cell, given)
		check_option(given, lfirst_node(DefElem, cell), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

static void
take_options(const List *given, Relay *relay)
{
	ListCell *cell;

	foreach (cell, given)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		const RelayRule *rule = find_rule(option->defname);
		int seconds;

		if (rule == NULL)
			continue;
		if (rule->field != NO_FIELD)
			*(char **) ((char *) relay + rule->field) =
				pstrdup(defGetString(option));
		else if (parse_int(defGetString(option), &seconds, GUC_UNIT_S, NULL))
			relay->timeout = seconds * 1000;
	}
}

/*
 * Read the options of the user mapping of a role.  The mapping of PUBLIC
 * counts only for a relay with a URL, since its password is sent only to that
 * server.
 */
static void
take_mapping(Oid server, Oid role, Relay *relay)
{
	HeapTuple tuple =
		SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role),
						ObjectIdGetDatum(server));
	Datum options;
	bool isnull;

	if (!HeapTupleIsValid(tuple) && relay->url != NULL)
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return;
	options = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple,
							  Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		take_options(untransformRelOptions(options), relay);
	ReleaseSysCache(tuple);
}

/*
 * Without a name, the defaults.
 */
char *
read_relay(const char *name, Oid role, Relay *relay)
{
	ForeignServer *server;

	memset(relay, 0, sizeof(*relay));
	relay->timeout = DEFAULT_TIMEOUT * 1000;
	if (name == NULL)
		return NULL;
	server = GetForeignServerByName(name, true);
	if (server == NULL)
		return psprintf("server \"%s\" does not exist", name);
	if (server->fdwid != get_foreign_data_wrapper_oid(RELAY_WRAPPER, true))
		return psprintf("server \"%s\" is not a relay: its foreign-data "
						"wrapper is not " RELAY_WRAPPER,
						name);
	if (!server_usage_privilege(server->serverid, role))
		return psprintf("role \"%s\" lacks USAGE on server \"%s\"",
						GetUserNameFromId(role, false), name);
	take_options(server->options, relay);
	take_mapping(server->serverid, role, relay);
	return NULL;
}
